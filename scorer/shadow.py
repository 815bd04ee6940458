"""The shadow: another version scores the same rows, and would raise its own alerts, of which nobody hears.

It starts, partition by partition, from a copy of the state that stands there when it is told to, as a version that is
promoted would. From then on nothing that it does touches the champion's state.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import structlog

from schemas.alert import Alert, Change
from schemas.errors import LedgerError, SnapshotError
from schemas.layout import Layout
from schemas.observation import Batch, Bool, Field, Float64, Int64, Partition, Status
from schemas.prediction import Predictions
from schemas.shadow import Settlement, Shadow, ShadowStep, Tally
from scorer.globals import GlobalTable
from scorer.questions import Questions, question_template
from scorer.scorer import NetworkOf, Scorer, state_template
from scorer.stages.pipeline import AlertPipeline
from scorer.store import Store
from scorer.verdict import settled

_PREFIX = "shadow."
_WHICH = f"{_PREFIX}which"
_EDGES = (Change.OPENED, Change.RESOLVED)
_log = structlog.get_logger(__name__)


class Shadows(Protocol):
    """Where it is decided what is scored in whose shadow."""

    def shadow(self) -> Shadow | None:
        """The one that runs, with what all partitions have added."""
        ...

    def settle(self, shadow: Shadow, settlement: Settlement) -> bool:
        """End it; False: another shard was quicker."""
        ...


class Beside:
    """Scores beside a shard whatever version the registry says.

    Args:
        layout: order of signals and tasks.
        champion: the store of what serves.
        table: what is known of the world, the shard's own.
        network_of: gives the network of a version.
        shadows: says which one runs, and is told how it ends.
        monotonic: a clock in seconds.
        every_seconds: how often it is asked.
    """

    def __init__(
        self,
        layout: Layout,
        champion: Store,
        table: GlobalTable,
        network_of: NetworkOf,
        shadows: Shadows,
        monotonic: Callable[[], float],
        every_seconds: float = 0.5,
    ) -> None:
        self._layout, self._champion = layout, champion
        self._fields = list(state_template(layout))
        self._store = Store(state_template(layout) | question_template(layout))
        self._scorer = Scorer(layout, self._store, network_of, table)
        self._pipeline = AlertPipeline(layout, self._store)
        self._questions = Questions(layout, self._store)
        self._shadows, self._monotonic, self._every_seconds = shadows, monotonic, every_seconds
        task = layout.forecast
        self._claimed = {task.name: task.quantiles[-1] - task.quantiles[0]} if len(task.quantiles) > 1 else {}
        self._due = float("-inf")
        self._shadow: Shadow | None = None
        self._steps: dict[Partition, ShadowStep] = {}
        self._begun: set[Partition] = set()

    def follow(self, serving: int) -> None:
        """Between batches: see which shadow runs, if it is time to look; settle it when its sums say so."""
        if self._monotonic() < self._due:
            return
        self._due = self._monotonic() + self._every_seconds
        try:
            found = self._shadows.shadow()
            if found is not None and (settlement := settled(found, self._claimed)) is not None:
                self._shadows.settle(found, settlement)
                found = None
        except LedgerError as error:
            _log.warning("registry unreachable, the shadow goes on", why=str(error))
            return
        if found is not None and found.champion != serving:
            found = None  # the champion was not taken up yet
        if (found and found.id) != (self._shadow and self._shadow.id):
            self._drop_all()
        self._shadow = found

    def score(self, batch: Batch, silent: Bool, strictness_N: Mapping[str, Float64]) -> Predictions | None:
        """Score the rows before the champion does; partitions that have no shadow yet get theirs now, if they are live.

        Returns the rows of those that have one; None: there is none.
        """
        shadow = self._shadow
        if shadow is None or not len(batch):
            return None
        for place, partition in enumerate(batch.partitions):
            if partition not in self._store.partitions and not silent[batch.partition == place].any():
                self._fork(partition)
        held = np.array([partition in self._store.partitions for partition in batch.partitions])
        rows = np.flatnonzero(held[batch.partition])
        if not len(rows):
            return None
        scored = self._scorer.score(_rows_of(batch, rows), silent[rows], np.full(len(rows), shadow.challenger))
        return replace(scored, strictness={task: each_N[rows] for task, each_N in strictness_N.items()})

    def compare(self, champion: Predictions, challenger: Predictions | None) -> None:
        """Judge both by the same rows; what comes of it waits for the commit."""
        self._steps = {}
        if challenger is None or self._shadow is None:
            return
        held = np.array([partition in self._store.partitions for partition in champion.batch.partitions])
        mine = _picked(champion, np.flatnonzero(held[champion.batch.partition]))
        accepted = (challenger.status == Status.OK) & (mine.status == Status.OK)
        answers = self._questions.ask(mine, challenger, challenger.slot, accepted)
        alerts = [each for each in self._pipeline.decide(challenger) if each.change in _EDGES]
        for place, partition in enumerate(champion.batch.partitions):
            rows = accepted & ~challenger.silent & (challenger.batch.partition == place)
            if rows.any():
                tally = Tally(int(rows.sum()), answers.sums(rows))
                self._steps[partition] = ShadowStep(self._shadow.id, tally, _of(alerts, partition))

    def step(self, partition: Partition) -> ShadowStep | None:
        """What the rows just compared add, to be written with the partition's offsets."""
        return self._steps.get(partition)

    def snapshot(self, partition: Partition) -> dict[str, Field]:
        """The partition's state as arrays; nothing where it has no shadow."""
        if self._shadow is None or partition not in self._store.partitions:
            return {}
        self._begun.discard(partition)
        which = np.frombuffer(json.dumps(self._shadow.id).encode(), dtype=np.uint8)
        tensors = self._store.tensors(partition)
        return {_WHICH: which} | {f"{_PREFIX}{name}": value for name, value in tensors.items()}

    def restore(self, partition: Partition, fields: dict[str, Field]) -> None:
        """What `snapshot` gave, if it was of the shadow that still runs; where that is unfit the shadow begins anew."""
        self.drop(partition)
        if self._shadow is None or _WHICH not in fields or json.loads(fields[_WHICH].tobytes()) != self._shadow.id:
            return
        held = {name.removeprefix(_PREFIX): value for name, value in fields.items() if name.startswith(_PREFIX)}
        try:
            self._store.put(partition, held, "shadow")
        except SnapshotError as error:  # as of a program before this one: the champion's state may be whole
            _log.warning("the shadow begins anew", partition=str(partition), why=str(error))

    def fresh(self, partition: Partition) -> bool:
        """Has its shadow only begun? Then a snapshot must hold it before more is added."""
        return partition in self._begun and partition in self._steps

    def drop(self, partition: Partition) -> None:
        """Forget a partition."""
        self._store.drop(partition)
        self._begun.discard(partition)

    def _drop_all(self) -> None:
        for partition in self._store.partitions:
            self.drop(partition)

    def _fork(self, partition: Partition) -> None:
        names = self._champion.names(partition)
        source, target = (
            np.array(store.slots(partition, names), dtype=np.int64) for store in (self._champion, self._store)
        )
        self._store.scatter(target, self._champion.gather(self._fields, source))
        self._begun.add(partition)


def _of(alerts: Sequence[Alert], partition: Partition) -> tuple[Alert, ...]:
    return tuple(alert for alert in alerts if alert.partition == partition)


def _rows_of(batch: Batch, rows: Int64) -> Batch:
    """Some rows, without what only dead letters need."""
    columns = {name: getattr(batch, name)[rows] for name in ("time_ms", "values", "partition", "offset", "masked")}
    return replace(
        batch,
        **columns,
        entity=[batch.entity[row] for row in rows.tolist()],
        status=batch.status[rows].copy(),
        due=None if batch.due is None else batch.due[rows],
        recorded_ms=None,
        vectors={name: vector[rows] for name, vector in batch.vectors.items()},
        raw=[],
        headers=[],
        dead_letters=(),
    )


def _picked(predictions: Predictions, rows: Int64) -> Predictions:
    """What is asked of the champion, of some rows."""
    return replace(
        predictions,
        batch=_rows_of(predictions.batch, rows),
        status=predictions.status[rows],
        forecast=predictions.forecast[rows],
        states=tuple(state[rows] for state in predictions.states),
        rules=predictions.rules[rows],
        scale=predictions.scale[rows],
    )
