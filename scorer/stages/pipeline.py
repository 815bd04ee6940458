"""From predictions to alerts: which rows are worth a judgement, and the stages in order.

Shapes: N rows, K kinds of alert (the anomaly score first, then one a rule, then one a task).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from schemas.alert import ALARMS, Alert
from schemas.alerting import AlertSettings
from schemas.budget import Achieved
from schemas.layout import Layout
from schemas.observation import Float64, Partition, Status
from schemas.prediction import Predictions
from scorer.silence.watch import Silence
from scorer.stages.affordable import HELD_BACK, Affordable
from scorer.stages.budgets import Books, Budgets
from scorer.stages.cooldown import Cooldown
from scorer.stages.finding import MEMORY_FIELDS, Decision, Finding, Memory, Stage, kinds_of
from scorer.stages.firing import Firing
from scorer.stages.persistence import Persistence
from scorer.stages.report import alert_of
from scorer.stages.risk import risk_of
from scorer.stages.steering import Steering
from scorer.stages.threshold import Threshold
from scorer.stages.warm_up import WarmUp
from scorer.stages.worth import Worth, priced_ranks
from scorer.store import Store
from trainer.rules import Rules

_FAILED = -1
"""Place of a feed that failed, before all kinds of finding."""


def stages_of(settings: AlertSettings) -> list[Stage]:
    """The stages in their order."""
    return [
        Threshold(settings.resolve_after),
        WarmUp(settings.warm_up),
        Persistence(settings.persistence),
        Cooldown(settings.escalation),
        *([] if settings.kept is None else [Affordable()]),
        Firing(settings.cooldown, settings.escalation, None if settings.kept else Steering(settings)),
    ]


class AlertPipeline:
    """Judges predictions against each entity's memory, which lives in the store (fields ``alert.*``).

    `budgets` price alarms; None where no budget is kept.

    Args:
        layout: what can raise an alert, and what `alerts` says of it.
        store: where memories and accounts live.
        stages: in place of those of the settings.
        partitions: among how many a budget in total is shared out.
        silence: watches the feeds; None: nobody does.
    """

    def __init__(
        self,
        layout: Layout,
        store: Store,
        stages: Sequence[Stage] | None = None,
        partitions: int = 1,
        silence: Silence | None = None,
    ) -> None:
        settings = layout.monitor.alerts
        self._layout = layout
        self._store = store
        self._kinds = kinds_of(layout)
        self._rules = Rules(layout)
        self._settings = settings
        self._steering = Steering(settings)
        self.budgets = None if settings.kept is None else Budgets(layout, store, settings.kept, partitions)
        self._silence = silence
        self._worth = [Worth(settings, kind) for kind in self._kinds]
        self._stages = list(stages or stages_of(settings))
        self._levels = [sorted((value, level.rank) for level, value in kind.severities.items()) for kind in self._kinds]
        self.held_back: Counter[str] = Counter()
        """Rows of which a budget let a task's or rule's finding raise nothing, by its name."""

    def decide(self, predictions: Predictions) -> list[Alert]:
        """Alerts of the rows that are not silent; memory advances for all of them. In row order."""
        strength_NK = self._strength(predictions)
        books = None if self.budgets is None else self.budgets.open(predictions)
        rank_NK = self._rank(predictions, strength_NK, books)
        failures = [] if self._silence is None else self._silence.watch(predictions)
        asked: list[tuple[int, int, Alert | None]] = [(row, _FAILED, failure) for row, failure in failures]
        asked += [(row, column, None) for row, column in self._worth_judging(predictions, rank_NK, strength_NK)]
        alerts = []
        for row, column, failure in sorted(asked, key=itemgetter(0, 1)):
            if failure is None:
                told = self._told(predictions, row, column, int(rank_NK[row, column]), strength_NK, books)
            else:
                told = failure
                if books is not None and failure.change in ALARMS:
                    books.pay(row, own=False)
            if told is not None and not predictions.silent[row]:
                alerts.append(told)
        if books is not None:
            books.close()
        return alerts

    def achieved(self, partition: Partition) -> dict[str, Achieved]:
        """What became of a partition's budgets so far."""
        return {} if self.budgets is None else self.budgets.achieved(partition)

    def missed(self, partition: Partition, offset: int, version: int) -> list[Alert]:
        """Feeds that stopped by the clock, while no row comes; `offset` is the last one, `version` serves now."""
        return [] if self._silence is None else self._silence.tick(partition, offset, version)

    def forget(self, partition: Partition) -> None:
        """Its state is no longer held here, or another one is."""
        if self._silence is not None:
            self._silence.forget(partition)
        if self.budgets is not None:
            self.budgets.forget(partition)

    def _told(
        self, predictions: Predictions, row: int, column: int, rank: int, strength_NK: Float64, books: Books | None
    ) -> Alert | None:
        """The alert of one finding; None where nothing changed, or nobody is told."""
        kind, strength = self._kinds[column], float(strength_NK[row, column])
        finding = self._finding(predictions, row, column, rank, strength)
        memory, decision = self._judge(int(predictions.slot[row]), column, finding, row, books)
        if predictions.silent[row]:
            return None
        self.held_back[kind.task] += decision.reason == HELD_BACK
        if decision.change is None:
            return None
        return alert_of(self._layout, self._rules, kind, predictions, row, strength, memory, decision)

    def _strength(self, predictions: Predictions) -> Float64:
        risks = [
            risk_of(self._layout.choices[at], predictions.states[at], predictions.taught[:, at])
            for kind in self._kinds
            if (at := kind.choice) is not None
        ]
        return np.column_stack([predictions.surprise, predictions.rules, *risks])

    def _rank(self, predictions: Predictions, strength_NK: Float64, books: Books | None) -> NDArray[np.int8]:
        """Severities reached; of the learned score an upper bound, for alerts within the batch raise thresholds."""
        rank = np.zeros(strength_NK.shape, dtype=np.int8)
        if books is None:
            raised, raised_row = (
                np.asarray(self._store.field(f"alert.{name}"))[predictions.slot, 0] for name in ("raised", "raised_row")
            )
            rank[:, 0] = self._steering.ranks(raised, raised_row, predictions.rows_seen, strength_NK[:, 0])
        else:
            rank[:, 0] = priced_ranks(self._settings, self._worth[0].of(strength_NK[:, 0]), books.least_prices())
        for column, levels in enumerate(self._levels):
            for value, level in levels:
                reached = strength_NK[:, column] >= value
                rank[reached, column] = np.maximum(rank[reached, column], level)
        return rank

    def _worth_judging(
        self, predictions: Predictions, rank_NK: NDArray[np.int8], strength_NK: Float64
    ) -> list[tuple[int, int]]:
        """Row and kind, in the order of rows: of the entities that have a finding of the kind or an open alert."""
        ok = predictions.status == Status.OK
        found = []
        for kind in range(len(self._kinds)):
            is_open = np.asarray(self._store.field("alert.open_rank"))[predictions.slot, kind] > 0
            busy = np.unique(predictions.slot[ok & ((rank_NK[:, kind] > 0) | is_open)])
            if len(busy):
                rows = np.flatnonzero(ok & np.isin(predictions.slot, busy) & ~np.isnan(strength_NK[:, kind]))
                found += [(row, kind) for row in rows.tolist()]
        return sorted(found)

    def _finding(self, predictions: Predictions, row: int, column: int, rank: int, strength: float) -> Finding:
        kind = self._kinds[column]
        return Finding(
            row_number=int(predictions.rows_seen[row]),
            time_ms=int(predictions.batch.time_ms[row]),
            rank=rank,
            strength=strength,
            steered=kind.steered,
            always=kind.rule is not None and rank >= self._settings.always.rank,
        )

    def _judge(self, slot: int, kind: int, finding: Finding, row: int, books: Books | None) -> tuple[Memory, Decision]:
        cells = [self._store.field(f"alert.{name}") for name in MEMORY_FIELDS]
        memory = Memory(*(cell[slot, kind].item() for cell in cells))
        finding = self._priced(finding, memory, kind, row, books)
        decision = Decision(None, "no stage decided")
        for stage in self._stages:
            verdict = stage(finding, memory)
            if verdict is not None:
                decision = verdict
                break
        for name, cell in zip(MEMORY_FIELDS, cells, strict=True):
            cell[slot, kind] = getattr(memory, name)
        if books is not None and decision.change in ALARMS:
            books.pay(row)
        return memory, decision

    def _priced(self, finding: Finding, memory: Memory, kind: int, row: int, books: Books | None) -> Finding:
        """With the rank that the learned score reaches in the light of the alerts before, and what an alarm costs."""
        if books is None:
            if not finding.steered:
                return finding
            return replace(finding, rank=self._steering.rank(memory, finding.row_number, finding.strength))
        if not finding.rank:
            return finding
        worth, price = self._worth[kind].of(np.array([finding.strength])), books.price(row)
        rank = int(priced_ranks(self._settings, worth, np.array([price]))[0]) if finding.steered else finding.rank
        return replace(finding, rank=rank, worth=float(worth[0]), price=price)
