"""What the scorer says of a batch.

Shapes: N rows, S signals, S_t target signals, R rules, K state and event tasks of C classes, H horizons,
Q quantiles; `remembered` has as many columns as the monitor's rules need.
Score: high = anomalous. P packed rows of one pass, M modalities, T statistics of a signal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.observation import Batch, Bool, Float64

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Backing:
    """What stands behind the scores of one version, as computed: nothing is copied for a row without an alert.

    Attributes:
        rows: the batch's rows, ascending, [n].
        packed: where each of them stands in the arrays below, [n].
        statistics: per signal the -log10 p of each statistic its evidence is made of, [P, S_t, T].
        attention: each task's over "nothing yet" and the modalities, [P, K, 1 + M]; NaN of a task that its private path
            answered; None: no network ran.
        affinity: how much each task (axis 1) looks at each (axis 2), [P, K, K]; NaN and None as there.
    """

    rows: NDArray[np.int64]
    packed: NDArray[np.int64]
    statistics: Float32
    attention: Float32 | None
    affinity: Float32 | None


@dataclass(frozen=True, slots=True)
class Predictions:
    """Columnar, aligned with the batch's rows. Rows whose status is not OK hold zeros and persistence.

    Attributes:
        batch: the rows scored, with raw values.
        status: final `Status` of each row, [N].
        refused: rows of which a signal was refused because the first value won, [N].
        slot: the entity's slot in the state store, [N].
        silent: rows replayed after a restart: their alerts are already in the ledger, [N].
        rows_seen: how many rows the entity had shown before this one, [N].
        score: dense evidence: half of it lingers over the rows after, [N].
        surprise: evidence of the row itself, about -log10 p, rounded: alert decisions use this, [N].
        anomaly: score / (score + 2), in [0, 1), [N]; ranks as `score` does.
        probability: that a row of the entity brings less evidence than this one, calibrated online, [0, 1], [N].
        evidence: per-signal -log10 tail probability, [N, S_t].
        anomaly_head: the network's own opinion, [0, 1], [N].
        expected: what was forecast for this row when the row before it was scored, raw units, NaN = nothing, [N, S_t].
        forecast: quantiles standing on this row, raw units, [N, S_t, H, Q].
        states: for each state task, then each event task, the class probabilities, [N, C].
        taught: of each of these tasks, has the version seen enough of it to warn by it? [N, K].
        rules: score of each rule, NaN = its signals are missing, [N, R].
        last: last known value of each signal, this row included, raw units, NaN = never seen, [N, S].
        age: seconds since it was seen, inf = never, [N, S].
        scale: typical |change| of each signal that is forecast, model scale, > 0, [N, S_t].
        remembered: what rules that remember were told of each row, as `trainer.rule_memory` says it, [N, ...].
        version: model version that made each row, 0 = the network could not run, [N].
        strictness: how much stronger a task's evidence must be before it alerts, by what people said: of the learned
            score in -log10 p, of a state or event task in log10 of the odds, [N] or one; a task that is absent: 0.
        fallback: does an older version serve live rows, a newer one having been rolled back, or being unfit?
        replaced: rows that brought another value of a signal for a time that had one, and the last one won; [N] or one.
        lent: was the row's entity lent others' experience? [N] or one.
        guarded: kind of knowledge -> rows of the batch in which it moved what the network or the fast head had said.
        backing: what stands behind the rows, one for each version.
    """

    batch: Batch
    status: NDArray[np.uint8]
    refused: Bool
    slot: NDArray[np.int64]
    silent: Bool
    rows_seen: NDArray[np.int64]
    score: Float64
    surprise: Float64
    anomaly: Float64
    probability: Float64
    evidence: Float32
    anomaly_head: Float32
    expected: Float64
    forecast: Float64
    states: tuple[Float32, ...]
    taught: Bool
    rules: Float64
    last: Float64
    age: Float64
    scale: Float64
    remembered: Float64
    version: NDArray[np.int64]
    guarded: Mapping[str, int]
    strictness: Mapping[str, Float64 | float] = field(default_factory=dict)
    fallback: bool = False
    replaced: Bool | bool = False
    lent: Bool | bool = False
    backing: tuple[Backing, ...] = ()

    def behind(self, row: int) -> tuple[Backing, int] | None:
        """What stands behind an accepted row, and the place there; None: the row was not scored."""
        for backing in self.backing:
            place = int(np.searchsorted(backing.rows, row))
            if place < len(backing.rows) and backing.rows[place] == row:
                return backing, int(backing.packed[place])
        return None
