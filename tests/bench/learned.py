"""What a system's trainer brought into service while it ran: how long the gate took, and the way from there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from sqlalchemy import Connection, func, select

from infra.standings import lives
from schemas.tables import TaskMetricRow


@dataclass(frozen=True, slots=True)
class Learned:
    """Of versions that a gate let serve, and that a shard took up.

    Attributes:
        versions: how many.
        gate_p50_s: between what was published before and what passed.
        taken_up_p50_ms: from the passed gate to the first batch that is committed with it.
        taken_up_p99_ms: the same.
        staleness_p50_s: how old the newest row was that it had learned from.
        lag_most: records that the trainer had not read yet, at the worst of its checkpoints.
    """

    versions: int
    gate_p50_s: float
    taken_up_p50_ms: float
    taken_up_p99_ms: float
    staleness_p50_s: float
    lag_most: float


def learned(connection: Connection) -> Learned | None:
    """Of the one monitor of a database; None: nothing passed a gate."""
    served = [life for life in lives(connection).values() if {"gate_seconds", "taken_up_seconds"} <= life.keys()]
    if not served:
        return None
    lag = connection.execute(select(func.max(TaskMetricRow.value)).where(TaskMetricRow.metric == "lag")).scalar()
    taken_up_ms = [1000.0 * each for each in _of(served, "taken_up_seconds")]
    return Learned(
        versions=len(served),
        gate_p50_s=float(np.median(_of(served, "gate_seconds"))),
        taken_up_p50_ms=float(np.percentile(taken_up_ms, 50)),
        taken_up_p99_ms=float(np.percentile(taken_up_ms, 99)),
        staleness_p50_s=float(np.median(_of(served, "staleness_seconds"))),
        lag_most=float(lag or 0.0),
    )


def _of(served: Sequence[dict[str, object]], name: str) -> list[float]:
    return [cast("float", each[name]) for each in served if name in each]
