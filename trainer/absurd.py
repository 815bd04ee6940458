"""Values that nothing measures, or that are impossible beside all that was seen: a row with one is never learned.

N rows, S signals, P planes of an entity's statistics.
"""

from dataclasses import dataclass, replace

import numpy as np

from schemas.layout import Layout
from schemas.observation import Batch, Bool, Float64, Int64, Ranges, Status
from schemas.signal import ABSURD
from trainer.rows import to_raw
from trainer.slots import Key, Slots
from trainer.statistics import Statistic

LARGEST = float(np.sqrt(np.finfo(np.float32).max))
"""About 1.8e19: what is larger has no square in the numbers that a network calculates with."""
_FAR = 5e3
"""Times as large as everything before is impossible. The farthest genuine value, an idle machine that woke up (NAB),
was 432 times as large, a made-up surge 921 times."""
_STRANGE = 1e9
"""The same where an entity has no scale: it is new, or was at rest in more than half of its rows. The first value of
another kind of machine was 400,000 times as large, a rare event among zeros 10,000 times."""
_LEAST = 16
"""Values of an entity before they are a scale."""
_PATIENCE = 256
"""Rows of an entity that are refused on end: then this is no fault but what it shows now."""
_UNMEASURED, _IMPOSSIBLE = "a value that nothing measures", "impossible beside all that was seen"
Refusal = tuple[str, Ranges]
"""Why, and where the rows came from: offsets, [first, next)."""


@dataclass(frozen=True, slots=True)
class _Past:
    """Of one entity.

    Attributes:
        largest_S: magnitude of its values, raw units; NaN where it had none.
        scaled_S: has it shown of what size they are?
        refused: rows on end that were refused until now.
    """

    largest_S: Float64
    scaled_S: Bool
    refused: int


class Screen:
    """Holds rows against what the population and their own entities showed before.

    Args:
        layout: order of signals; what lies in a declared range is never impossible.
        slots: of the entities; the template must hold `window_template` and `state_template`.
    """

    def __init__(self, layout: Layout, slots: Slots) -> None:
        self._layout, self._slots = layout, slots
        declared_S = np.abs([signal.range for signal in layout.signals]).max(axis=1)
        self._declared_S = np.where(declared_S < ABSURD, declared_S, np.nan)

    def sift(self, batch: Batch, largest_S: Float64, *, again: bool = False) -> tuple[Batch, list[Refusal]]:
        """The batch with absurd and impossible rows marked invalid, and what is to be told of them.

        Args:
            batch: rows as they came.
            largest_S: magnitude of the population's values, see `Population.largest`.
            again: they came before, and count for nothing in how long an entity has shown what was refused.
        """
        batch, refusals = _without(batch, _over(batch, np.array(LARGEST)), _UNMEASURED)
        largest_S = np.fmax(largest_S, self._declared_S)
        far = _over(batch, _FAR * largest_S)
        if not len(far):
            return batch, refusals
        impossible_NS = self._impossible(batch, far, largest_S, again=again)
        names = [self._layout.signals[column].name for column in np.flatnonzero(impossible_NS.any(axis=0))]
        rows = np.flatnonzero(impossible_NS.any(axis=1))
        batch, impossible = _without(batch, rows, f"{_IMPOSSIBLE}: {', '.join(names)}")
        return batch, refusals + impossible

    def _impossible(self, batch: Batch, far: Int64, largest_S: Float64, *, again: bool) -> Bool:
        """Values that are far out beside their entity's past, too, [N, S]."""
        key_N = [(batch.partitions[place], entity) for place, entity in zip(batch.partition, batch.entity, strict=True)]
        rows_of: dict[Key, list[int]] = {key_N[row]: [] for row in far.tolist()}
        for row in np.flatnonzero(batch.status == Status.OK).tolist():
            if key_N[row] in rows_of:
                rows_of[key_N[row]].append(row)
        impossible_NS = np.zeros(batch.values.shape, dtype=np.bool_)
        for rows, slot in zip(rows_of.values(), self._slots.find(rows_of).tolist(), strict=True):
            impossible_NS[rows] = self._walk(slot, np.abs(batch.values[rows]), largest_S, again=again)
        return impossible_NS

    def _walk(self, slot: int, size_NS: Float64, largest_S: Float64, *, again: bool) -> Bool:
        """The same of one entity's rows, each of which is the past of the next one, unless it is refused."""
        past = self._past(slot)
        times_S = np.where(past.scaled_S, _FAR, _STRANGE)
        largest_S, refused = np.fmax(largest_S, past.largest_S), past.refused
        impossible_NS = np.zeros(size_NS.shape, dtype=np.bool_)
        for row, size_S in enumerate(size_NS):
            beyond_S = size_S > times_S * largest_S
            if beyond_S.any() and refused < _PATIENCE:
                impossible_NS[row], refused = beyond_S, refused + 1
            else:
                largest_S, refused = np.fmax(largest_S, size_S), 0
        if slot >= 0 and not again:
            self._slots.scatter(np.array([slot]), {"refused": np.array([refused])})
        return impossible_NS

    def _past(self, slot: int) -> _Past:
        """Of what was learned of an entity, and of its last rows."""
        s = len(self._layout.signals)
        if slot < 0:
            return _Past(np.full(s, np.nan), np.zeros(s, dtype=np.bool_), 0)
        held = self._slots.gather(["values", "statistics", "refused"], np.array([slot]))
        statistics_PS = held["statistics"][0, :, :s]
        count_S, moves_S = statistics_PS[Statistic.COUNT], statistics_PS[Statistic.MOVES]
        ends_2S = np.where(count_S > 0, statistics_PS[[Statistic.NEG_MIN, Statistic.MAX]], np.nan)
        learned_S = to_raw(np.abs(ends_2S).max(axis=0, keepdims=True), self._layout)[0]
        largest_S = np.fmax(learned_S, np.fmax.reduce(np.abs(held["values"][0])))
        return _Past(largest_S, (count_S >= _LEAST) & (2.0 * moves_S >= count_S), int(held["refused"][0]))


def _over(batch: Batch, largest_S: Float64) -> Int64:
    """Valid rows with a larger magnitude."""
    over_NS = (np.abs(batch.values) > largest_S) & (batch.status == Status.OK)[:, None]
    return np.flatnonzero(over_NS.any(axis=1))


def _without(batch: Batch, rows: Int64, why: str) -> tuple[Batch, list[Refusal]]:
    """The batch with rows marked invalid, and what is to be told of them."""
    if not len(rows):
        return batch, []
    ranges = {}
    for place in np.unique(batch.partition[rows]).tolist():
        offsets = batch.offset[rows[batch.partition[rows] == place]]
        ranges[batch.partitions[place]] = (int(offsets.min()), int(offsets.max()) + 1)
    status = batch.status.copy()
    status[rows] = Status.INVALID
    return replace(batch, status=status), [(why, ranges)]
