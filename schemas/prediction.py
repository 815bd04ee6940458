"""What the scorer says of a batch.

Shapes: N rows, S signals, S_t target signals, R rules, K state and event tasks of C classes, H horizons, Q quantiles.
Score: high = anomalous.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.observation import Batch, Bool, Float64

Float32 = NDArray[np.float32]


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
        rules: score of each rule, NaN = its signals are missing, [N, R].
        last: last known value of each signal, this row included, raw units, NaN = never seen, [N, S].
        age: seconds since it was seen, inf = never, [N, S].
        version: model version that made each row, 0 = the network could not run, [N].
        guarded: kind of knowledge -> rows of the batch in which it moved what the network or the fast head had said.
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
    rules: Float64
    last: Float64
    age: Float64
    version: NDArray[np.int64]
    guarded: Mapping[str, int]
