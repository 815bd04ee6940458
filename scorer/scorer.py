"""The scorer: admit -> network -> detector -> fast head -> guard -> rules, for one batch, with per-entity state.

Shapes: N rows of the batch, n admitted rows, E entities, S signals, S_t target signals, H horizons, Q quantiles.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from schemas.layout import Layout
from schemas.observation import Batch, Bool, Field, Float64, GlobalRow, Int64, Status
from schemas.prediction import Backing, Predictions
from scorer.admission import Admission, Admitted
from scorer.detector import Detector
from scorer.experience import Experience
from scorer.fast import FastHead, Forecast
from scorer.globals import GlobalTable
from scorer.guard import Guard
from scorer.served import Served, Server
from scorer.silence.watch import initial_silence
from scorer.stages.account import initial_account
from scorer.stages.discoveries import initial_discoveries
from scorer.stages.finding import initial_memory, kinds_of
from scorer.store import Store
from scorer.waves import waves_of
from trainer.network import Network
from trainer.rows import pack, to_raw
from trainer.rule_memory import said
from trainer.rules import Rules

NetworkOf = Callable[[int], Network | None]
"""Version -> network in evaluation mode; None where it cannot run: the rules rung."""
_DECIMALS = 4
"""Alert decisions look at scores rounded to this: the last bits of a float must not decide."""


@dataclass(slots=True)
class _Columns:
    """Output columns under construction, [N, ...]."""

    score: Field
    surprise: Field
    anomaly: Field
    probability: Field
    evidence: Field
    anomaly_head: Field
    expected: Field
    forecast: Field
    states: list[Field]
    taught: Field
    rules: Field
    last: Field
    age: Field
    scale: Field
    remembered: Field
    lent: Field
    guarded: Counter[str]
    backing: list[Backing] = field(default_factory=list)


class Scorer:
    """Scores batches; owns no partition and commits nothing.

    Args:
        layout: order of signals and tasks.
        store: where state lives (its template must be `template(layout)`).
        network_of: gives the network of a version.
        table: what is known of the world; another scorer's, where they share it.
    """

    def __init__(self, layout: Layout, store: Store, network_of: NetworkOf, table: GlobalTable | None = None) -> None:
        self._layout = layout
        self._store = store
        self._network_of = network_of
        self._table = table or GlobalTable(layout)
        self._admission = Admission(len(layout.signals), layout.monitor.conflicts)
        self._server = Server(layout)
        self._detector = Detector(layout)
        self._experience = Experience(self._detector, store)
        self._fast = FastHead(layout)
        self._rules = Rules(layout)
        self._guard = Guard(layout)
        self._fields = {
            part: [name for name in template if name.startswith(part)]
            for template in [state_template(layout)]
            for part in ("admission.", "network.", "detector.", "fast.")
        }

    def note(self, rows: Sequence[GlobalRow]) -> None:
        """Global observations that became known."""
        self._table.add(rows)

    def score(self, batch: Batch, silent: Bool, versions: Int64) -> Predictions:
        """Score a batch. `silent` and `versions` come from the partitions' timelines, [N]."""
        slot = self._slots(batch)
        admitted = self._admit(batch, slot)
        values = self._table.join(batch.time_ms, admitted.values)
        columns = self._blank(len(batch))
        accepted = admitted.status == Status.OK
        for stretch in self._experience.stretches(batch, accepted):
            self._experience.begin(batch, stretch[admitted.rows_seen[stretch] == 0], slot)
            for version in np.unique(versions[stretch]):
                rows = stretch[versions[stretch] == version]
                self._score_rows(rows, slot[rows], batch, values[rows], int(version), columns)
        return Predictions(
            batch=batch,
            status=admitted.status,
            refused=admitted.refused,
            replaced=admitted.replaced,
            slot=slot,
            silent=silent,
            rows_seen=admitted.rows_seen,
            score=columns.score,
            surprise=_rounded(columns.surprise),
            anomaly=columns.anomaly,
            probability=columns.probability,
            evidence=columns.evidence,
            anomaly_head=columns.anomaly_head,
            expected=columns.expected,
            forecast=columns.forecast,
            states=tuple(columns.states),
            taught=columns.taught,
            rules=_rounded(columns.rules),
            last=columns.last,
            age=columns.age,
            scale=columns.scale,
            remembered=columns.remembered,
            version=versions,
            lent=columns.lent,
            guarded=columns.guarded,
            backing=tuple(columns.backing),
        )

    def _slots(self, batch: Batch) -> Int64:
        slot = np.empty(len(batch), dtype=np.int64)
        for index, partition in enumerate(batch.partitions):
            rows = np.flatnonzero(batch.partition == index)
            slot[rows] = self._store.slots(partition, [batch.entity[row] for row in rows])
        return slot

    def _admit(self, batch: Batch, slot: Int64) -> Admitted:
        entities, entity = np.unique(slot, return_inverse=True)
        state = self._store.gather(self._fields["admission."], entities)
        admitted = self._admission.admit(waves_of(entity), entity, batch.time_ms, batch.values, batch.status, state)
        self._store.scatter(entities, state)
        return admitted

    def _score_rows(
        self, rows: Int64, slot: Int64, batch: Batch, values: Field, version: int, columns: _Columns
    ) -> None:
        entities, entity = np.unique(slot, return_inverse=True)
        vectors = {name: vector[rows] for name, vector in batch.vectors.items()}
        packed, order, entity_order = pack(entity, values, batch.time_ms[rows], self._layout, vectors)
        slots = entities[entity_order]
        served = self._server.serve(self._network_of(version), packed, self._gather("network.", slots))
        detection, detector_state = self._detector.scan(served, self._gather("detector.", slots))
        forecast, fast_state = self._fast.scan(served, detection.rhythm, self._gather("fast.", slots))
        self._scatter("network.", slots[: len(entities)], served.state)
        self._scatter("detector.", slots[: len(entities)], detector_state)
        self._scatter("fast.", slots[: len(entities)], fast_state)
        columns.score[rows] = detection.score[order]
        columns.surprise[rows] = detection.surprise[order]
        columns.anomaly[rows] = detection.anomaly[order]
        columns.probability[rows] = detection.probability[order]
        columns.evidence[rows] = detection.evidence[order]
        columns.lent[rows] = detection.lent[order]
        columns.anomaly_head[rows] = served.anomaly_head[order]
        self._fill(columns, rows, served, forecast, order)
        columns.taught[rows] = served.taught
        columns.rules[rows] = self._rules.score(served.known)[order]
        columns.last[rows] = served.known.last[order]
        columns.age[rows] = served.known.age[order]
        columns.scale[rows] = served.known.scale[order, : self._layout.n_targets]
        columns.remembered[rows] = served.known.remembered[order]
        columns.backing.append(Backing(rows, order, detection.statistics, served.attention, served.affinity))

    def _fill(self, columns: _Columns, rows: Int64, served: Served, forecast: Forecast, order: Int64) -> None:
        """What is said of the future, guarded."""
        expected = self._raw(forecast.expected[order])
        columns.expected[rows] = self._guard.forecasts(expected[..., None, None]).forecast[..., 0, 0]
        guarded = self._guard.forecasts(self._raw(forecast.quantiles[order]))
        columns.forecast[rows] = guarded.forecast
        columns.guarded.update({kind: int(moved.sum()) for kind, moved in guarded.moved.items()})
        for column, probability, floor in zip(columns.states, served.states, served.floors, strict=True):
            column[rows] = probability[order]
            if floor is not None:
                column[rows], moved = self._guard.state(probability[order], floor[order])
                columns.guarded["monotone"] += int(moved.sum())

    def _gather(self, part: str, slots: Int64) -> dict[str, Field]:
        gathered = self._store.gather(self._fields[part], slots)
        return {name.removeprefix(part): value for name, value in gathered.items()}

    def _scatter(self, part: str, slots: Int64, state: dict[str, Field]) -> None:
        self._store.scatter(slots, {f"{part}{name}": value[: len(slots)] for name, value in state.items()})

    def _raw(self, model_scale: Float64) -> Float64:
        return to_raw(model_scale, self._layout, self._layout.n_targets)

    def _blank(self, n: int) -> _Columns:
        layout = self._layout
        task = layout.forecast
        shape = (n, layout.n_targets, len(task.horizons), len(task.quantiles))
        return _Columns(
            score=np.zeros(n),
            surprise=np.zeros(n),
            anomaly=np.zeros(n),
            probability=np.zeros(n),
            evidence=np.zeros((n, layout.n_targets), dtype=np.float32),
            anomaly_head=np.zeros(n, dtype=np.float32),
            expected=np.full((n, layout.n_targets), np.nan),
            forecast=np.full(shape, np.nan),
            states=[np.zeros((n, len(names)), dtype=np.float32) for names in layout.classes.values()],
            taught=np.zeros((n, len(layout.choices)), dtype=np.bool_),
            rules=np.full((n, len(layout.monitor.rules)), np.nan),
            last=np.full((n, len(layout.signals)), np.nan),
            age=np.full((n, len(layout.signals)), np.inf),
            scale=np.ones((n, layout.n_targets)),
            remembered=np.full((n, said(layout)), np.nan),
            lent=np.zeros(n, dtype=np.bool_),
            guarded=Counter(),
        )


def _rounded(score: Float64) -> Float64:
    rounded: Float64 = np.round(score, _DECIMALS)
    return rounded


def state_template(layout: Layout) -> dict[str, Field]:
    """State of an entity never seen, every part of it: ``<part>.<field>`` -> [1, ...]."""
    network = {name: value.numpy() for name, value in Network(layout).initial(1).items()}
    alerts = layout.monitor.alerts
    return {
        **Admission(len(layout.signals), layout.monitor.conflicts).initial(),
        **{f"network.{name}": value for name, value in network.items()},
        **{f"detector.{name}": value for name, value in Detector(layout).initial(1).items()},
        **{f"fast.{name}": value for name, value in FastHead(layout).initial(1).items()},
        **initial_memory(len(kinds_of(layout))),
        **({} if alerts.kept is None else initial_account()),
        **({} if alerts.false_discovery_rate is None else initial_discoveries()),
        **initial_silence(layout),
    }
