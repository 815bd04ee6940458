"""A shard: the partitions one scorer owns, from taking them over to letting them go.

Recovery: the newest sound snapshot at offset S, silent replay from S to the committed offset C, then live.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
import structlog

from schemas.alert import Alert
from schemas.errors import FencedError, SnapshotError
from schemas.observation import Batch, DeadLetter, GlobalRow, Int64, Partition, Status
from schemas.prediction import Predictions
from schemas.protocols import AS_CONFIGURED, Advance, Ledger, Position, Tally
from schemas.reasons import Reason
from scorer.reorder import Reorder
from scorer.scorer import Scorer
from scorer.shadow import Beside
from scorer.stages.pipeline import AlertPipeline
from scorer.store import Store
from scorer.strictness import Strictness
from scorer.timeline import Timeline, Timelines

BEGINNING = -2
"""Kafka's own number for the start of a partition's log."""
_log = structlog.get_logger(__name__)
_ACCEPTED, _PARTLY, _DEAD_LETTERED, _DUPLICATE, _NO_FATE = range(5)
"""The counts of a `Tally`, in its order."""
_FATES = np.array([_ACCEPTED, _DUPLICATE, _DEAD_LETTERED, _NO_FATE])
"""A row's, by `Status`; one that only keeps a place is no record."""


class Serving(Protocol):
    """Which model version scores live rows."""

    def version(self) -> int:
        """The version; 0 = none can run. Constant between two calls of `refresh`."""
        ...

    def fallback(self) -> bool:
        """Does it serve in place of a newer one, which was rolled back or is unfit? As constant."""
        ...

    def refresh(self) -> None:
        """Look for a newer version, now and then."""
        ...


@dataclass(frozen=True, slots=True)
class SnapshotPolicy:
    """Where and how often state is written. `directory` None: never."""

    directory: Path | None
    every: timedelta


class Shard:
    """Owns partitions (an `Owner` to the source), scores their batches and advances them in the ledger.

    Args:
        scorer: scores; `store` is the state it writes.
        ledger: the truth about offsets.
        serving: the version for live rows.
        reorder: holds rows back until their time has come.
        monotonic: a clock in seconds, for snapshots only.
        beside: scores another version in the shadow; None: none is ever tried.
        alerting: says what became of each partition's budgets, and who is missed while no row comes.
        strictness: of alerts, by what people say of them; None: nobody does.
    """

    def __init__(
        self,
        scorer: Scorer,
        store: Store,
        ledger: Ledger,
        serving: Serving,
        reorder: Reorder,
        snapshots: SnapshotPolicy,
        monotonic: Callable[[], float],
        beside: Beside | None = None,
        alerting: AlertPipeline | None = None,
        strictness: Strictness | None = None,
    ) -> None:
        self._scorer = scorer
        self._alerting = alerting
        self._beside = beside
        self._strictness = strictness
        self._store = store
        self._ledger = ledger
        self._serving = serving
        self._reorder = reorder
        self._snapshots = snapshots
        self._monotonic = monotonic
        self._timelines = Timelines()
        self._snapshot_due: dict[Partition, float] = {}

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Partitions owned now."""
        return tuple(self._timelines.of)

    def adopt(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Take partitions over; the offset each must be read from (at or before the committed one)."""
        self._follow_shadow()
        return {partition: self._adopt(partition) for partition in partitions}

    def release(self, partitions: Sequence[Partition]) -> None:
        """Forget partitions and their state; nothing is written: the next owner reads the ledger."""
        for partition in partitions:
            self._timelines.of.pop(partition, None)
            self._snapshot_due.pop(partition, None)
            self._store.drop(partition)
            self._reorder.drop(partition)
            if self._alerting is not None:
                self._alerting.forget(partition)
            if self._beside is not None:
                self._beside.drop(partition)
            self._ledger.release(partition)

    def note(self, rows: Sequence[GlobalRow]) -> None:
        """Take note of what became known of the world."""
        if rows:
            self._scorer.note(rows)

    def score(self, batch: Batch) -> Predictions:
        """Score a batch of owned partitions. Rows before the committed offset are silent."""
        batch = self._reorder.let_pass(batch)
        versions, strictness_N = self._timelines.served(batch, self._serving.version(), self._strict())
        silent = self._timelines.silent(batch)
        challenger = None if self._beside is None else self._beside.score(batch, silent, strictness_N)
        scored = self._scorer.score(batch, silent, versions)
        champion = replace(scored, strictness=strictness_N, fallback=self._serving.fallback())
        if self._beside is not None:
            self._beside.compare(champion, challenger)
        return champion

    def owns(self, batch: Batch) -> bool:
        """Are all partitions of the batch still owned? A fenced one may have rows in flight."""
        return self._timelines.owned(batch)

    def refused(self, predictions: Predictions) -> list[DeadLetter]:
        """What must be put aside before the offsets move, once: replayed rows put theirs aside before."""
        batch = predictions.batch
        starts = {partition: self._timelines.of[partition].next_offset for partition in batch.partitions}
        found = [letter for letter in batch.dead_letters if letter.offset >= starts[letter.partition]]
        late = np.flatnonzero((predictions.status == Status.LATE) & ~predictions.silent).tolist()
        conflicts = np.flatnonzero(predictions.refused & ~predictions.silent).tolist()
        found += [_letter(batch, row, Reason.LATE, "older than the entity's newest row") for row in late]
        found += [_letter(batch, row, Reason.CONFLICT, "another value for this time came first") for row in conflicts]
        return found

    def follow(self) -> None:
        """Between batches: take up a newer model version if there is one, and what people said of alerts."""
        self._serving.refresh()
        if self._strictness is not None:
            self._strictness.refresh()
        self._follow_shadow()

    def commit(self, alerts: Sequence[Alert], predictions: Predictions) -> None:
        """Alerts, offsets and model version in one transaction; a partition lost to another owner is let go."""
        advances = self._advances(predictions)
        try:
            self._ledger.commit(alerts, advances)
            self._moved(advances)
        except FencedError:
            self._commit_apart(alerts, advances)

    def miss(self) -> None:
        """While no row comes: tell whose feed has stopped by the clock."""
        if self._alerting is None:
            return
        for partition in self.partitions:
            last = self._timelines.of[partition].next_offset - 1
            if missed := self._alerting.missed(partition, last, self._serving.version()):
                self._commit_missed(partition, missed)

    def _strict(self) -> Mapping[str, float]:
        return AS_CONFIGURED if self._strictness is None else self._strictness.now()

    def _commit_missed(self, partition: Partition, missed: Sequence[Alert]) -> None:
        try:
            self._ledger.commit(missed, [])
        except FencedError:
            _log.warning("partition lost to another owner", partition=str(partition))
            self.release([partition])

    def _commit_apart(self, alerts: Sequence[Alert], advances: Sequence[Advance]) -> None:
        for advance in advances:
            try:
                self._ledger.commit([alert for alert in alerts if alert.partition == advance.partition], [advance])
                self._moved([advance])
            except FencedError:
                _log.warning("partition lost to another owner", partition=str(advance.partition))
                self.release([advance.partition])

    def _follow_shadow(self) -> None:
        if self._beside is not None:
            self._beside.follow(self._serving.version())

    def _adopt(self, partition: Partition) -> int:
        position = self._ledger.acquire(partition)
        start = self._restore(partition, position)
        self._timelines.of[partition] = Timeline.resume(position)
        self._snapshot_due[partition] = self._monotonic() + self._snapshots.every.total_seconds()
        _log.info("partition adopted", partition=str(partition), start=start, committed=position.committed)
        return start

    def _restore(self, partition: Partition, position: Position) -> int:
        for file, offset in position.snapshots:
            try:
                extra = self._store.restore(partition, Path(file))
                self._reorder.restore(partition, extra)
                if self._beside is not None:
                    self._beside.restore(partition, extra)
            except SnapshotError as error:
                _log.warning("snapshot unfit, trying the one before", partition=str(partition), why=str(error))
            else:
                return offset
        self._store.drop(partition)
        self._reorder.drop(partition)
        return BEGINNING

    def _advances(self, predictions: Predictions) -> list[Advance]:
        batch = predictions.batch
        version, strictness = self._serving.version(), self._strict()
        tallies = _tallies(predictions, self._timelines.starts(batch.partitions))
        turn = min(batch.partitions, key=self._snapshot_due.__getitem__, default=None)
        found = []
        for partition, next_offset, tally in zip(batch.partitions, batch.next_offsets, tallies, strict=True):
            timeline = self._timelines.of[partition]
            if next_offset > timeline.next_offset:
                shadow = None if self._beside is None else self._beside.step(partition)
                snapshot = self._snapshot(partition, next_offset, its_turn=partition == turn)
                achieved = {} if self._alerting is None else self._alerting.achieved(partition)
                found.append(
                    Advance(
                        partition=partition,
                        from_offset=timeline.next_offset,
                        next_offset=next_offset,
                        tally=tally,
                        version=version,
                        strictness=strictness,
                        snapshot=snapshot,
                        shadow=shadow,
                        achieved=achieved,
                    )
                )
        return found

    def _snapshot(self, partition: Partition, offset: int, *, its_turn: bool) -> tuple[str, int] | None:
        """Its file and offset, if it is due. A commit waits for one file at most, but for shadows that have begun."""
        begun = self._beside is not None and self._beside.fresh(partition)
        due = its_turn and self._monotonic() >= self._snapshot_due[partition]
        if self._snapshots.directory is None or not (due or begun):
            return None
        self._snapshot_due[partition] = self._monotonic() + self._snapshots.every.total_seconds()
        extra = self._reorder.snapshot(partition)
        if self._beside is not None:
            extra |= self._beside.snapshot(partition)
        return str(self._store.snapshot(partition, self._snapshots.directory, offset, extra)), offset

    def _moved(self, advances: Sequence[Advance]) -> None:
        for advance in advances:
            timeline = self._timelines.of[advance.partition]
            timeline.next_offset = advance.next_offset


def _letter(batch: Batch, row: int, reason: Reason, detail: str) -> DeadLetter:
    return DeadLetter(
        partition=batch.partitions[int(batch.partition[row])],
        offset=int(batch.offset[row]),
        reason=reason,
        detail=detail,
        key=batch.entity[row].encode(),
        value=batch.raw[row] if batch.raw else None,
        timestamp_ms=int(batch.time_ms[row]),
        headers=batch.headers[row] if batch.headers else (),
    )


def _tallies(predictions: Predictions, starts: Int64) -> list[Tally]:
    """What became of the records of each of the batch's partitions; those before its start were counted before."""
    batch, status, refused = predictions.batch, predictions.status, predictions.refused
    fate = _FATES[status]
    fate[(status == Status.OK) & (batch.masked | refused)] = _PARTLY
    fate[(status == Status.DUPLICATE) & refused] = _DEAD_LETTERED  # nothing was left of them
    fresh = batch.due_offset >= starts[batch.partition]
    place = batch.partition[fresh] * (_NO_FATE + 1) + fate[fresh]
    counts = np.bincount(place, minlength=len(starts) * (_NO_FATE + 1)).reshape(len(starts), -1)[:, :_NO_FATE]
    for partition, offset in {(each.partition, each.offset) for each in batch.dead_letters if not each.signal}:
        index = batch.partitions.index(partition)
        counts[index, _DEAD_LETTERED] += offset >= starts[index]
    return [Tally(*each) for each in counts.tolist()]
