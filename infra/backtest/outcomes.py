"""How well event tasks foresaw their outcomes.

Of an entity as a whole: its probability as it stood some hours after its first row. Within a horizon: every row whose
horizon an outcome settles.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from infra.backtest.figures import Judged, number, unjudged
from infra.backtest.table import ScoresTable
from infra.metrics.anomaly import auprc, auroc
from ingest.outcomes import Outcome
from schemas.horizon import Horizon
from schemas.observation import Bool, Float64, Status
from trainer.ahead import came_within

_HOURS = (6, 12, 24, 48)
_HOUR_MS = 3_600_000


def judge_outcomes(table: ScoresTable, outcomes: Sequence[Outcome]) -> dict[str, Judged]:
    """Per event task `auroc`, `auprc` and `brier`, and the share of outcomes that came true (`base_rate`).

    Each at the entity's last row before the outcome was revealed (`last`), and at its last row within some hours of its
    first (`h6`). The baseline answers every entity with the base rate. A task with a horizon: each once, over `rows`.
    Of a task without any outcome that is said alone.
    """
    rows_of = _rows_of(table)
    found = {}
    for place, task in enumerate(table.layout.events):
        told = [outcome for outcome in outcomes if outcome.task == task.name and outcome.entity in rows_of]
        probability = table.states[len(table.layout.states) + place][:, 1]
        if not told:
            found[task.name] = unjudged("no outcome of a scored entity was told")
            continue
        if task.within is not None:
            found[task.name] = _within(table, told, rows_of, probability.astype(np.float64), task.within)
            continue
        truth = np.array([outcome.value for outcome in told], dtype=np.bool_)
        ours, naive = {}, {}
        for name, hours in (("last", None), *((f"h{hours}", hours) for hours in _HOURS)):
            rows = [_standing(table, rows_of[outcome.entity], outcome, hours) for outcome in told]
            standing = np.array(rows, dtype=np.int64)
            known, came = standing[standing >= 0], truth[standing >= 0]
            ours[name] = _judged(probability[known].astype(np.float64), came)
            naive[name] = _judged(np.full(len(came), came.mean() if len(came) else 0.0), came)
        said = {"entities": len(told), "base_rate": number(float(truth.mean()))}
        found[task.name] = Judged(said | ours, {"base_rate": naive})
    return found


def _within(
    table: ScoresTable,
    told: Sequence[Outcome],
    rows_of: Mapping[str, list[int]],
    probability: Float64,
    horizon: Horizon,
) -> Judged:
    """Rows that outcomes settle, the earliest outcome of an entity first: did it happen within the horizon?"""
    came = np.full(len(probability), -1, dtype=np.int64)
    for outcome in sorted(told, key=lambda each: each.known_until_ms):
        rows = np.array(rows_of[outcome.entity])
        happened = came_within(table.time_ms[rows], horizon, outcome.known_until_ms, happened=outcome.value)
        fresh = (came[rows] < 0) & (happened >= 0)
        came[rows[fresh]] = happened[fresh]
    known = np.flatnonzero(came >= 0)
    truth = came[known] > 0
    rate = float(truth.mean()) if len(known) else 0.0
    said = {"entities": len(told), "rows": len(known), "base_rate": number(rate) if len(known) else None}
    naive = _judged(np.full(len(known), rate), truth)
    return Judged(said | _judged(probability[known], truth), {"base_rate": naive})


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


def _judged(probability: Float64, came: Bool) -> dict[str, float | None]:
    if not came.any() or came.all():
        return {"auroc": None, "auprc": None, "brier": None}
    found = {"auroc": auroc(probability, came), "auprc": auprc(probability, came)}
    found["brier"] = float(np.square(probability - came).mean())
    return {name: number(value) for name, value in found.items()}
