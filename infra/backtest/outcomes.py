"""How well event tasks foresaw their outcomes: an entity's probability as it stood some hours after its first row."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from infra.backtest.table import ScoresTable
from infra.metrics.anomaly import auprc, auroc
from ingest.outcomes import Outcome
from schemas.observation import Bool, Float64, Status

_HOURS = (6, 12, 24, 48)
_HOUR_MS = 3_600_000


def score_outcomes(table: ScoresTable, outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Per event task `auroc`, `auprc` and `brier`, and the share of outcomes that came true (`base_rate`).

    Each at the entity's last row before the outcome was revealed (`last`), and at its last row within some hours of its
    first (`h6`). The base rate is what a random scorer's AUPRC reaches.
    """
    rows_of = _rows_of(table)
    found = {}
    for place, task in enumerate(table.layout.events):
        told = [outcome for outcome in outcomes if outcome.task == task.name and outcome.entity in rows_of]
        probability = table.states[len(table.layout.states) + place][:, 1]
        truth = np.array([outcome.value for outcome in told], dtype=np.bool_)
        metrics: dict[str, Any] = {"entities": len(told), "base_rate": float(truth.mean()) if told else None}
        for name, hours in (("last", None), *((f"h{hours}", hours) for hours in _HOURS)):
            standing = [_standing(table, rows_of[outcome.entity], outcome, hours) for outcome in told]
            metrics[name] = _judged(np.array([probability[row] if row >= 0 else np.nan for row in standing]), truth)
        found[task.name] = metrics
    return found


def _rows_of(table: ScoresTable) -> dict[str, list[int]]:
    """Scored rows of each entity in stream order."""
    rows: dict[str, list[int]] = {}
    for row in table.order[table.status[table.order] == Status.OK].tolist():
        rows.setdefault(table.entity[row], []).append(row)
    return rows


def _standing(table: ScoresTable, rows: Sequence[int], outcome: Outcome, hours: int | None) -> int:
    """The entity's last row before the outcome was revealed, and within some hours; -1 none."""
    time_ms = table.time_ms[rows]
    until = outcome.revealed_ms if hours is None else min(outcome.revealed_ms, int(time_ms[0]) + hours * _HOUR_MS + 1)
    place = int(np.searchsorted(time_ms, until, side="left")) - 1
    return rows[place] if place >= 0 else -1


def _judged(probability: Float64, truth: Bool) -> dict[str, float | None]:
    known = np.isfinite(probability)
    score, came = probability[known], truth[known]
    if not came.any() or came.all():
        return {"auroc": None, "auprc": None, "brier": None}
    brier = float(np.square(score - came).mean())
    return {"auroc": round(auroc(score, came), 4), "auprc": round(auprc(score, came), 4), "brier": round(brier, 4)}
