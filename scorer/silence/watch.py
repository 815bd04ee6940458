"""Watches a shard's feeds: what each row shows of its own entity, and whom a partition's watermark or a clock misses.

Periods are counted by the partition's watermark (`scorer.silence.clocks`), so that an entity whose rows come late by a
constant time is not missed. A signal has stopped at the first row whose watermark says so; which row that is does not
depend on batches. While no row comes, the watermark goes on with the clock: that is told as soon as it is due, and
again under the same identity if a restart forgot it.

N rows of the batch, n rows of distinct entities, S target signals.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import numpy as np

from schemas.alert import Alert, Change
from schemas.duration import short_form
from schemas.layout import Layout
from schemas.observation import Bool, Field, Int64, Partition, Status
from schemas.prediction import Predictions
from schemas.silence import SilenceKind, SilenceSettings
from scorer.silence import clocks, still
from scorer.silence.clocks import FAR, NEVER, Times
from scorer.silence.pulse import Pulse, State
from scorer.silence.report import Report, Seen
from scorer.silence.shown import Shown, initial
from scorer.silence.still import Others, Still
from scorer.store import Store
from scorer.waves import waves_of

_PREFIX = "silence."


@dataclass(slots=True)
class _Clock:
    """Where a partition stands: its `Times`, its `Others`, when its last row was seen, and when somebody is overdue."""

    watermark_ms: int
    least: int
    others: Others
    seen_seconds: float
    next_due_ms: int


class Watched(NamedTuple):
    """What a batch's rows show.

    Attributes:
        alerts: each with the row that showed it, in the rows' order.
        doubted_NS: signals of the row's entity that an alert says are failing, once the row was seen.
    """

    alerts: list[tuple[int, Alert]]
    doubted_NS: Bool


class Silence:
    """Watches the entities of a store.

    Args:
        layout: of the monitor, which has `silence` configured.
        store: where state lives (fields ``silence.*``).
        monotonic: a clock in seconds, for partitions that show no row.
    """

    def __init__(self, layout: Layout, store: Store, monotonic: Callable[[], float]) -> None:
        self._layout, self._store, self._monotonic = layout, store, monotonic
        self._settings = layout.monitor.silence or SilenceSettings()
        self._report = Report(layout.monitor.monitor, self._settings, layout.names)
        self._pulse, self._shown = pulse_of(layout), Shown(layout, self._settings, self._report)
        self._fields = list(initial_silence(layout))
        self._clocks: dict[Partition, _Clock] = {}

    def watch(self, predictions: Predictions) -> Watched:
        """What the rows show; alerts of silent rows too."""
        found: list[tuple[int, Alert]] = []
        doubted_NS = np.zeros((len(predictions.slot), self._layout.n_targets), dtype=np.bool_)
        for place, partition in enumerate(predictions.batch.partitions):
            rows = np.flatnonzero((predictions.batch.partition == place) & (predictions.status == Status.OK))
            if len(rows):
                found += self._watch(partition, rows, predictions, doubted_NS)
        found.sort(key=lambda each: (each[0], each[1].entity, each[1].kind, each[1].started))
        return Watched(found, doubted_NS)

    def tick(self, partition: Partition, offset: int, version: int) -> list[Alert]:
        """Who is overdue by the clock while no row comes. `offset`: of the partition's last row."""
        clock = self._clock(partition)
        elapsed_ms = int((self._monotonic() - clock.seen_seconds) * 1000.0)
        if clock.watermark_ms == NEVER or clock.watermark_ms + elapsed_ms <= clock.next_due_ms:
            return []
        until_ms = clock.watermark_ms + elapsed_ms
        seen = Seen(until_ms, partition, offset, version)
        return [alert for _, alert in self._overdue(partition, clock, until_ms, lambda _: (0, seen))]

    def forget(self, partition: Partition) -> None:
        """It is another owner's, or begins anew."""
        self._clocks.pop(partition, None)

    def _clock(self, partition: Partition) -> _Clock:
        if partition not in self._clocks:
            held = self._store.held(partition)
            state = self._gather(held)
            watermark_ms, least = int(state["row_ms"].max(initial=NEVER)), int(state["least"].min(initial=FAR))
            self._clocks[partition] = _Clock(watermark_ms, least, Others.of(state), self._monotonic(), NEVER)
        return self._clocks[partition]

    def _gather(self, slots: Int64) -> State:
        return {name.removeprefix(_PREFIX): each for name, each in self._store.gather(self._fields, slots).items()}

    def _watch(
        self, partition: Partition, rows: Int64, predictions: Predictions, doubted_NS: Bool
    ) -> list[tuple[int, Alert]]:
        clock = self._clock(partition)
        tolerated_ms = self._settings.skew // timedelta(milliseconds=1)
        times = Times.of(predictions.batch, rows, clock.watermark_ms, clock.least, tolerated_ms)

        def seen_at(due_ms: int) -> tuple[int, Seen]:
            """The first row by which somebody was overdue."""
            row = int(rows[np.searchsorted(times.after_ms, due_ms, side="right")])
            return row, Seen.at(predictions, row)

        entities, entity = np.unique(predictions.slot[rows], return_inverse=True)
        state = self._gather(entities)
        waves, value_nS = waves_of(entity), predictions.batch.values[rows, : self._layout.n_targets]
        shown, clock.others = still.see(state, entity, waves, value_nS, clock.others)
        found: list[tuple[int, Alert]] = []
        for wave in waves:
            mine = {name: each[entity[wave]] for name, each in state.items()}
            found += self._missed(
                mine, times.before_ms[wave], [predictions.batch.entity[r] for r in rows[wave]], seen_at
            )
            alerts, doubted_NS[rows[wave]] = self._rows(mine, rows[wave], shown.at(wave), times.at(wave), predictions)
            found += alerts
            for name, each in mine.items():
                state[name][entity[wave]] = each
        self._store.scatter(entities, {f"{_PREFIX}{name}": each for name, each in state.items()})
        due_ms = int(self._open_due(state).min(initial=FAR))
        clock.next_due_ms = min(clock.next_due_ms, due_ms)
        clock.watermark_ms, clock.least = int(times.after_ms[-1]), int(times.least[-1])
        clock.seen_seconds = self._monotonic()
        if clock.watermark_ms > clock.next_due_ms:
            found += self._overdue(partition, clock, clock.watermark_ms, seen_at)
        return found

    def _overdue(
        self, partition: Partition, clock: _Clock, until_ms: int, seen_at: Callable[[int], tuple[int, Seen]]
    ) -> list[tuple[int, Alert]]:
        """Everybody in the partition who is overdue by now; looked for only when somebody must be."""
        slots, names = self._store.held(partition), self._store.names(partition)
        state = self._gather(slots)
        found = self._missed(state, np.full(len(slots), until_ms), names, seen_at)
        self._store.scatter(slots, {f"{_PREFIX}stopped_ms": state["stopped_ms"]})
        clock.next_due_ms = int(self._open_due(state).min(initial=FAR))
        return found

    def _open_due(self, state: State) -> Int64:
        """When each signal is overdue that is not known to be, [n, S]."""
        return np.where(state["stopped_ms"] == NEVER, self._pulse.due_ms(state), FAR)

    def _missed(
        self, state: State, until_n: Int64, names: Sequence[str], seen_at: Callable[[int], tuple[int, Seen]]
    ) -> list[tuple[int, Alert]]:
        """Signals overdue before `until_n`, those of an entity that were missed at the same row together."""
        due_nS = self._open_due(state)
        found = []
        for place in np.flatnonzero((due_nS < until_n[:, None]).any(axis=1)).tolist():
            overdue = np.flatnonzero(due_nS[place] < until_n[place])
            at = {int(column): seen_at(int(due_nS[place, column])) for column in overdue}
            for row in sorted({row for row, _ in at.values()}):
                columns = [column for column, (when, _) in at.items() if when == row]
                started_ms = min(int(due_nS[place, column]) for column in columns)
                stopped = state["stopped_ms"][place]
                if stopped.max() > state["row_ms"][place]:  # nothing of it has come since: the same silence
                    stopped[columns] = stopped.max()
                    continue
                stopped[columns] = started_ms
                seen = next(seen for when, seen in at.values() if when == row)
                if SilenceKind.STOPPED in self._settings.kinds:
                    found.append((row, self._stopped(names[place], started_ms, columns, state, place, seen)))
        return found

    def _stopped(
        self, name: str, started_ms: int, columns: Sequence[int], state: State, place: int, seen: Seen
    ) -> Alert:
        last_ms = int(state["seen_ms"][place, columns].max())
        told = f"nothing for {short_form((seen.time_ms - last_ms) / 1000)}"
        return self._report.alert(name, SilenceKind.STOPPED, started_ms, Change.OPENED, columns, told, seen)

    def _rows(
        self, state: State, rows: Int64, shown: Still, times: Times, predictions: Predictions
    ) -> tuple[list[tuple[int, Alert]], Bool]:
        """What the rows say of their own entities, and signals in doubt then, [n, S].

        A signal is in doubt because of what the rows say alone: not because a clock found it overdue between two, which
        would be another time in a replay.
        """
        present_nS = ~np.isnan(predictions.batch.values[rows, : self._layout.n_targets])
        overdue_nS = self._pulse.due_ms(state) < times.after_ms[:, None]
        late_nS = present_nS & overdue_nS & (state["stopped_ms"] == NEVER)
        found = self._returned(state, rows, times.after_ms, present_nS, predictions)
        found += self._shown.look(state, rows, late_nS, shown, times, predictions)
        self._pulse.see(state, times.after_ms, present_nS)
        clocks.see(state, times)
        doubted_nS: Bool = state["shown"] > 0
        if SilenceKind.STOPPED in self._settings.kinds:
            doubted_nS |= overdue_nS & ~present_nS
        return found, doubted_nS

    def _returned(
        self, state: State, rows: Int64, now_n: Int64, present_nS: Bool, predictions: Predictions
    ) -> list[tuple[int, Alert]]:
        """What had stopped and came again; an alert resolves with the last of its signals."""
        back_nS = present_nS & (state["stopped_ms"] != NEVER)
        found = []
        for place in np.flatnonzero(back_nS.any(axis=1)).tolist():
            stopped, row = state["stopped_ms"][place], int(rows[place])
            columns = np.flatnonzero(back_nS[place])
            ended = {int(each) for each in stopped[columns]}
            stopped[columns] = NEVER
            for started_ms in sorted(ended - {int(each) for each in stopped}):
                seen = Seen.at(predictions, row)
                silent = short_form((int(now_n[place]) - int(state["seen_ms"][place, columns].max())) / 1000)
                told, name = f"came after {silent}", predictions.batch.entity[row]
                if SilenceKind.STOPPED in self._settings.kinds:
                    change = Change.RESOLVED
                    alert = self._report.alert(
                        name, SilenceKind.STOPPED, started_ms, change, columns.tolist(), told, seen
                    )
                    found.append((row, alert))
        return found


def pulse_of(layout: Layout) -> Pulse:
    """The periods of a layout's target signals."""
    periods = layout.monitor.silence.periods if layout.monitor.silence else {}
    names = layout.names[: layout.n_targets]
    declared_ms = [periods[name].total_seconds() * 1000.0 if name in periods else np.nan for name in names]
    return Pulse(np.array(declared_ms), layout.monitor.silence.after if layout.monitor.silence else 1.0)


def initial_silence(layout: Layout) -> dict[str, Field]:
    """State of an entity never seen: field ``silence.<name>``, [1, ...]; nothing where it is not configured.

    `about`: what an open alert of the learned score is about (`scorer.stages.doubts`).
    """
    if layout.monitor.silence is None:
        return {}
    parts: dict[str, Field] = {
        "stopped_ms": np.full((1, layout.n_targets), NEVER, dtype=np.int64),
        "about": np.zeros((1, layout.n_targets), dtype=np.bool_),
        **clocks.initial(),
        **pulse_of(layout).initial(),
        **initial(layout),
    }
    return {f"{_PREFIX}{name}": value for name, value in parts.items()}
