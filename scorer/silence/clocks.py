"""How far a partition's event time has come, and whose clock is wrong.

A partition's watermark is the newest event time it has shown, but no row is believed to have happened later than it was
recorded: one fast clock would otherwise move the time by which all others are missed. Where records say no time, or
the event time itself, as data sent by `bellwether produce` do, a fast clock is not seen and does move it.

A row that was recorded long after it happened may come from a slow clock, or was sent late. It counts as a slow clock
if the partition's other rows come sooner, by more than is tolerated, and if the entity's rows stay as late: what was
held back and is sent at once catches up. How soon rows come is the least delay that the partition has shown lately:
it is forgotten by a second in `_FORGET` (a decayed minimum), so that a delay that all share becomes usual in hours. In
a partition of one entity a slow clock is therefore told only where it was right before.

N rows of the batch, n rows of distinct entities.
"""

from dataclasses import dataclass

import numpy as np

from schemas.observation import Batch, Bool, Field, Int64

NEVER, FAR = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_UNRECORDED = -1
_FORGET = 256
_STEADY = 4
"""A delay is steady if it changes by less than this part of the time between two rows, and of what is tolerated."""


@dataclass(frozen=True, slots=True)
class Times:
    """Of some rows of one partition, in order; milliseconds.

    Attributes:
        before_ms: the watermark before each, [n].
        after_ms: the watermark after each, [n].
        delay_ms: from event time to record, `NEVER` where that says none, [n].
        excess_ms: by how much the delay lies above what the partition's rows have shown to be possible, [n].
        least: what is remembered of the least delay after each, [n]: the delay times `_FORGET`, minus its watermark.
    """

    before_ms: Int64
    after_ms: Int64
    delay_ms: Int64
    excess_ms: Int64
    least: Int64

    @classmethod
    def of(cls, batch: Batch, rows: Int64, watermark_ms: int, least: int, tolerated_ms: int) -> "Times":
        """Go on from where a partition stands. `tolerated_ms`: of event time ahead of the record's."""
        time_ms, recorded_ms = batch.time_ms[rows], np.full(len(rows), _UNRECORDED, dtype=np.int64)
        if batch.recorded_ms is not None:
            recorded_ms = batch.recorded_ms[rows]
        known = recorded_ms > _UNRECORDED
        believed_ms = np.where(known, np.minimum(time_ms, recorded_ms + tolerated_ms), time_ms)
        after_ms = np.maximum(np.maximum.accumulate(believed_ms), watermark_ms)
        delay_ms = np.where(known, recorded_ms - time_ms, NEVER)
        sound = known & (delay_ms >= -tolerated_ms)
        least_n = np.minimum(np.minimum.accumulate(np.where(sound, delay_ms * _FORGET - after_ms, FAR)), least)
        excess_ms = np.where(sound, delay_ms - (np.where(sound, least_n, 0) + after_ms) // _FORGET, 0)
        return cls(np.concatenate([[watermark_ms], after_ms[:-1]]), after_ms, delay_ms, excess_ms, least_n)

    def at(self, places: Int64) -> "Times":
        """Of some of the rows."""
        columns = (self.before_ms, self.after_ms, self.delay_ms, self.excess_ms, self.least)
        return Times(*(column[places] for column in columns))


def initial() -> dict[str, Field]:
    """State of an entity never seen."""
    return {
        "row_ms": np.full((1,), NEVER, dtype=np.int64),
        "delay_ms": np.full((1,), NEVER, dtype=np.int64),
        "least": np.full((1,), FAR, dtype=np.int64),
    }


def see(state: dict[str, Field], times: Times) -> None:
    """Remember the rows, and where the partition stood then."""
    state["row_ms"], state["delay_ms"], state["least"] = times.after_ms, times.delay_ms, times.least


def ahead(times: Times, tolerated_ms: int) -> Bool:
    """Rows that are told to have happened after they were recorded, [n]."""
    ahead_n: Bool = (times.delay_ms != NEVER) & (times.delay_ms < -tolerated_ms)
    return ahead_n


def behind(state: dict[str, Field], times: Times, tolerated_ms: int) -> tuple[Bool, Bool]:
    """Rows that come later than others do, and those of them that come as late as the entity's row before, [n]."""
    late_n = times.excess_ms > tolerated_ms
    known_n = (state["delay_ms"] != NEVER) & late_n
    change_n = np.abs(np.where(known_n, times.delay_ms - state["delay_ms"], 0))
    gap_n = np.where(known_n, times.after_ms - state["row_ms"], 0)
    return late_n, known_n & (change_n * _STEADY < np.minimum(gap_n, tolerated_ms))
