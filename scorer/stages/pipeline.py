"""From predictions to alerts: which rows are worth a judgement, and the stages in order.

Shapes: N rows, K kinds of alert (the anomaly score first, then one a rule, then one a task).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from schemas.alert import Alert
from schemas.alerting import AlertSettings
from schemas.layout import Layout
from schemas.observation import Float64, Status
from schemas.prediction import Predictions
from scorer.stages.cooldown import Cooldown
from scorer.stages.finding import MEMORY_FIELDS, Decision, Finding, Memory, Stage, kinds_of
from scorer.stages.firing import Firing
from scorer.stages.persistence import Persistence
from scorer.stages.report import alert_of
from scorer.stages.risk import risk_of
from scorer.stages.steering import Steering
from scorer.stages.threshold import Threshold
from scorer.stages.warm_up import WarmUp
from scorer.store import Store
from trainer.rules import Rules


def stages_of(settings: AlertSettings) -> list[Stage]:
    """The stages in their order."""
    return [
        Threshold(settings.resolve_after),
        WarmUp(settings.warm_up),
        Persistence(settings.persistence),
        Cooldown(settings.escalation),
        Firing(settings.cooldown, settings.escalation, Steering(settings)),
    ]


class AlertPipeline:
    """Judges predictions against each entity's memory, which lives in the store (fields ``alert.*``)."""

    def __init__(self, layout: Layout, store: Store, stages: Sequence[Stage] | None = None) -> None:
        self._layout = layout
        self._store = store
        self._kinds = kinds_of(layout)
        self._rules = Rules(layout)
        self._steering = Steering(layout.monitor.alerts)
        self._stages = list(stages or stages_of(layout.monitor.alerts))
        self._levels = [sorted((value, level.rank) for level, value in kind.severities.items()) for kind in self._kinds]

    def decide(self, predictions: Predictions) -> list[Alert]:
        """Alerts of the rows that are not silent; memory advances for all of them. In row order."""
        strength_NK = self._strength(predictions)
        rank_NK = self._rank(predictions, strength_NK)
        alerts = []
        for kind_index, kind in enumerate(self._kinds):
            for row in self._worth_judging(predictions, rank_NK[:, kind_index], kind_index):
                strength = float(strength_NK[row, kind_index])
                if np.isnan(strength):
                    continue
                finding = Finding(
                    row_number=int(predictions.rows_seen[row]),
                    time_ms=int(predictions.batch.time_ms[row]),
                    rank=int(rank_NK[row, kind_index]),
                    strength=strength,
                    steered=kind.steered,
                )
                memory, decision = self._judge(int(predictions.slot[row]), kind_index, finding)
                if decision.change is not None and not predictions.silent[row]:
                    found = alert_of(self._layout, self._rules, kind, predictions, int(row), strength, memory, decision)
                    alerts.append((row, found))
        return [alert for _, alert in sorted(alerts, key=lambda found: found[0])]

    def _strength(self, predictions: Predictions) -> Float64:
        risks = [
            risk_of(self._layout.choices[at], predictions.states[at], predictions.taught[:, at])
            for kind in self._kinds
            if (at := kind.choice) is not None
        ]
        return np.column_stack([predictions.surprise, predictions.rules, *risks])

    def _rank(self, predictions: Predictions, strength_NK: Float64) -> NDArray[np.int8]:
        """Severities reached; of the learned score an upper bound, for alerts within the batch raise thresholds."""
        rank = np.zeros(strength_NK.shape, dtype=np.int8)
        raised, raised_row = (
            np.asarray(self._store.field(f"alert.{name}"))[predictions.slot, 0] for name in ("raised", "raised_row")
        )
        rank[:, 0] = self._steering.ranks(raised, raised_row, predictions.rows_seen, strength_NK[:, 0])
        for column, levels in enumerate(self._levels):
            for value, level in levels:
                reached = strength_NK[:, column] >= value
                rank[reached, column] = np.maximum(rank[reached, column], level)
        return rank

    def _worth_judging(self, predictions: Predictions, rank: NDArray[np.int8], kind: int) -> NDArray[np.int64]:
        ok = predictions.status == Status.OK
        is_open = np.asarray(self._store.field("alert.open_rank"))[predictions.slot, kind] > 0
        busy = np.unique(predictions.slot[ok & ((rank > 0) | is_open)])
        return np.flatnonzero(ok & np.isin(predictions.slot, busy)) if len(busy) else np.empty(0, dtype=np.int64)

    def _judge(self, slot: int, kind: int, finding: Finding) -> tuple[Memory, Decision]:
        cells = [self._store.field(f"alert.{name}") for name in MEMORY_FIELDS]
        memory = Memory(*(cell[slot, kind].item() for cell in cells))
        if finding.steered:
            finding = replace(finding, rank=self._steering.rank(memory, finding.row_number, finding.strength))
        decision = Decision(None, "no stage decided")
        for stage in self._stages:
            verdict = stage(finding, memory)
            if verdict is not None:
                decision = verdict
                break
        for name, cell in zip(MEMORY_FIELDS, cells, strict=True):
            cell[slot, kind] = getattr(memory, name)
        return memory, decision
