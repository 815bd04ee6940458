"""From predictions to alerts: which rows are worth a judgement, and the stages in order.

Shapes: N rows, n of them in a stretch, K kinds of alert (the anomaly score first, then one a rule, then one a task).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from schemas.alert import ALARMS, Alert, Change
from schemas.alerting import AlertSettings, Severity
from schemas.budget import Achieved
from schemas.discovered import Discovered
from schemas.layout import Layout
from schemas.observation import Bool, Float64, Partition, Status
from schemas.prediction import Predictions
from scorer.silence.watch import Silence, Watched
from scorer.stages.affordable import HELD_BACK, Affordable
from scorer.stages.budgets import Books, Budgets
from scorer.stages.cooldown import Cooldown
from scorer.stages.discoveries import Discoveries, Trials
from scorer.stages.doubts import Doubts
from scorer.stages.finding import MEMORY_FIELDS, Decision, Finding, Kind, Memory, Stage, kinds_of
from scorer.stages.firing import Firing
from scorer.stages.foretelling import Foretelling, standing_of
from scorer.stages.persistence import Persistence
from scorer.stages.report import alert_of
from scorer.stages.risk import asked, risk_of
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
        Foretelling(),
        Persistence(settings.persistence),
        Cooldown(settings.escalation),
        *([] if settings.kept is None else [Affordable()]),
        Firing(settings.cooldown, settings.escalation, Steering(settings) if settings.steered else None),
    ]


@dataclass(slots=True)
class _Findings:
    """Those of one batch.

    Attributes:
        strength_NK: of each kind, NaN where nothing is found or asked.
        strictness_NK: how much stronger it must be, by what people said; of rules 0.
        doubted_NS: target signals whose feed is failing.
        stands_NK: what is foretold does already.
        rank_NK: severities reached. Of the learned score an upper bound where it is steered; where false discoveries
            are controlled, known up to the stretch that is judged.
        books: of the budgets; None: none is kept, and neither worth nor price is known.
        trials: of the learned score; None: no false discovery rate is controlled.
        worth_NK: of an alarm.
        price_N: of an alarm, if none is raised before the row from now on.
    """

    strength_NK: Float64
    strictness_NK: Float64
    doubted_NS: Bool
    stands_NK: Bool
    rank_NK: NDArray[np.int8]
    books: Books | None
    trials: Trials | None
    worth_NK: Float64 = field(default_factory=lambda: np.empty((0, 0)))
    price_N: Float64 = field(default_factory=lambda: np.empty(0))

    def at(
        self, row: int, column: int, kind: Kind, always: Severity, predictions: Predictions, *, doubted: bool
    ) -> Finding:
        """One of them, of strength 0 where it cannot be judged. Rules as bad as `always` are raised at any price."""
        rank = int(self.rank_NK[row, column])
        return Finding(
            row_number=int(predictions.rows_seen[row]),
            time_ms=int(predictions.batch.time_ms[row]),
            rank=rank,
            strength=float(np.nan_to_num(self.strength_NK[row, column])),
            steered=kind.steered,
            strictness=float(self.strictness_NK[row, column]),
            lent=bool(np.broadcast_to(predictions.lent, len(predictions.slot))[row]),
            stands=bool(self.stands_NK[row, column]),
            doubted=doubted,
            worth=0.0 if self.books is None else float(self.worth_NK[row, column]),
            price=0.0 if self.books is None else float(self.price_N[row]),
            always=kind.rule is not None and rank >= always.rank,
        )


class AlertPipeline:
    """Judges predictions against each entity's memory, which lives in the store (fields ``alert.*``).

    `budgets` price alarms; None where no budget is kept. `discoveries` say what evidence is enough; None where no false
    discovery rate is controlled.

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
        self._steering = Steering(settings) if settings.steered else None
        self.budgets = None if settings.kept is None else Budgets(layout, store, settings.kept, partitions)
        self.discoveries = None if settings.false_discovery_rate is None else Discoveries(settings, store)
        self._silence = silence
        self._doubts = None if silence is None else Doubts(layout, store)
        self._standing = [standing_of(layout, kind) for kind in self._kinds]
        self._worth = [Worth(layout, kind) for kind in self._kinds]
        self._stages = list(stages or stages_of(settings))
        self._levels = [sorted((value, level.rank) for level, value in kind.severities.items()) for kind in self._kinds]
        self.held_back: Counter[str] = Counter()
        """Rows of which a budget let a task's or rule's finding raise nothing, by its name."""

    def decide(self, predictions: Predictions) -> list[Alert]:
        """Alerts of the rows that are not silent; memory advances for all of them. In row order."""
        books = None if self.budgets is None else self.budgets.open(predictions)
        strictness_NK = self._strictness(predictions)
        trials = None if self.discoveries is None else self.discoveries.open(predictions, strictness_NK[:, 0])
        failures, doubted_NS = self._watched(predictions)
        findings = self._findings(predictions, strictness_NK, books, trials, doubted_NS)
        alerts = []
        for rows in self._stretches(predictions, findings):
            asked: list[tuple[int, int, Alert | None]] = [
                (row, _FAILED, failure) for row, failure in failures if rows.start <= row < rows.stop
            ]
            asked += [(row, column, None) for row, column in self._worth_judging(predictions, findings, rows)]
            for row, column, failure in sorted(asked, key=itemgetter(0, 1)):
                told = failure or self._told(predictions, findings, row, column)
                if books is not None and failure is not None and failure.change in ALARMS:
                    books.pay(row, own=False, always=True)
                    self._price(findings, books)
                if told is not None and not predictions.silent[row]:
                    alerts.append(told)
        for each in (books, trials):
            if each is not None:
                each.close()
        return alerts

    def achieved(self, partition: Partition) -> Mapping[str, Achieved | Discovered]:
        """What became of a partition's budgets or false discovery rate so far."""
        counted = self.budgets or self.discoveries
        return {} if counted is None else counted.achieved(partition)

    def missed(self, partition: Partition, offset: int, version: int) -> list[Alert]:
        """Feeds that stopped by the clock, while no row comes; `offset` is the last one, `version` serves now."""
        return [] if self._silence is None else self._silence.tick(partition, offset, version)

    def forget(self, partition: Partition) -> None:
        """Its state is no longer held here, or another one is."""
        if self._silence is not None:
            self._silence.forget(partition)
        if self.budgets is not None:
            self.budgets.forget(partition)

    def _watched(self, predictions: Predictions) -> Watched:
        if self._silence is None:
            return Watched([], np.zeros((len(predictions.slot), self._layout.n_targets), dtype=np.bool_))
        return self._silence.watch(predictions)

    def _told(self, predictions: Predictions, findings: _Findings, row: int, column: int) -> Alert | None:
        """The alert of one finding; None where nothing changed, or nobody is told."""
        kind, slot = self._kinds[column], int(predictions.slot[row])
        if not findings.rank_NK[row, column] and not self._store.field("alert.open_rank")[slot, column]:
            return None
        doubted = self._doubts is not None and self._doubts.doubted(column, findings.doubted_NS[row], slot)
        finding = findings.at(row, column, kind, self._settings.always, predictions, doubted=doubted)
        memory, decision = self._judge(slot, column, finding)
        if self._doubts is not None and decision.change in ALARMS:
            self._doubts.note(column, predictions, row)
        if findings.books is not None and decision.change in ALARMS:
            findings.books.pay(row, always=finding.always)
            self._price(findings, findings.books)
        if findings.trials is not None and kind.steered and decision.change in ALARMS:
            findings.trials.alarmed(row, opened=decision.change is Change.OPENED)
        if predictions.silent[row]:
            return None
        self.held_back[kind.task] += decision.reason == HELD_BACK
        if decision.change is None:
            return None
        strength = finding.strength
        return alert_of(self._layout, self._rules, kind, predictions, row, strength, memory, decision)

    def _stretches(self, predictions: Predictions, findings: _Findings) -> Iterator[slice]:
        """Rows in order that are judged together; false discoveries are controlled block by block."""
        if findings.trials is None:
            yield slice(0, len(predictions.slot))
            return
        for rows in findings.trials.stretches():
            findings.rank_NK[rows, 0] = findings.trials.ranks(rows)
            yield rows

    def _findings(
        self,
        predictions: Predictions,
        strictness_NK: Float64,
        books: Books | None,
        trials: Trials | None,
        doubted_NS: Bool,
    ) -> _Findings:
        strength_NK = self._strength(predictions)
        rank_NK = self._rank(predictions, strength_NK, strictness_NK)
        stands_NK = self._stands(predictions, rank_NK)
        findings = _Findings(strength_NK, strictness_NK, doubted_NS, stands_NK, rank_NK, books, trials)
        if books is not None:
            columns = zip(self._worth, strength_NK.T, strict=True)
            findings.worth_NK = np.column_stack([worth.of(strength_N) for worth, strength_N in columns])
            findings.worth_NK -= strictness_NK
            self._price(findings, books)
        return findings

    def _price(self, findings: _Findings, books: Books) -> None:
        """What an alarm costs from now on, and what the learned score is worth at that."""
        findings.price_N = books.prices()
        findings.rank_NK[:, 0] = priced_ranks(self._settings, findings.worth_NK[:, 0], findings.price_N)

    def _stands(self, predictions: Predictions, rank_NK: NDArray[np.int8]) -> Bool:
        """Does what is foretold stand? Asked where a severity is reached: elsewhere nothing is raised anyway."""
        stands_NK = np.zeros(rank_NK.shape, dtype=np.bool_)
        for column, stands in enumerate(self._standing):
            rows = np.flatnonzero(rank_NK[:, column]) if stands is not None else ()
            if stands is not None and len(rows):
                lasting_nR = self._rules.lasting(predictions.last[rows], predictions.age[rows])
                stands_NK[rows, column] = stands(np.fmax(predictions.rules[rows], lasting_nR))
        return stands_NK

    def _strength(self, predictions: Predictions) -> Float64:
        risks = [
            risk_of(self._layout.choices[at], predictions.states[at], predictions.taught[:, at])
            for kind in self._kinds
            if (at := kind.choice) is not None
        ]
        return np.column_stack([predictions.surprise, predictions.rules, *risks])

    def _strictness(self, predictions: Predictions) -> Float64:
        strictness_NK = np.zeros((len(predictions.slot), len(self._kinds)))
        for column, kind in enumerate(self._kinds):
            if kind.rule is None:
                strictness_NK[:, column] = predictions.strictness.get(kind.task, 0.0)
        return strictness_NK

    def _rank(self, predictions: Predictions, strength_NK: Float64, strictness_NK: Float64) -> NDArray[np.int8]:
        """Severities reached. Of the learned score, if it is steered, an upper bound: its alerts raise thresholds."""
        rank = np.zeros(strength_NK.shape, dtype=np.int8)
        if self._steering is not None:
            raised, raised_row = (
                np.asarray(self._store.field(f"alert.{name}"))[predictions.slot, 0] for name in ("raised", "raised_row")
            )
            told_N = strength_NK[:, 0] - strictness_NK[:, 0]
            rank[:, 0] = self._steering.ranks(raised, raised_row, predictions.rows_seen, told_N)
        for column, (kind, levels) in enumerate(zip(self._kinds, self._levels, strict=True)):
            for value, level in levels:
                asked_N = value if kind.choice is None else asked(value, strictness_NK[:, column])
                reached = strength_NK[:, column] >= asked_N
                rank[reached, column] = np.maximum(rank[reached, column], level)
        return rank

    def _worth_judging(self, predictions: Predictions, findings: _Findings, rows: slice) -> list[tuple[int, int]]:
        """Row and kind, of a stretch: of the entities that have a finding of the kind or an open alert.

        What a rule or task does not say is asked only where its feed may have failed.
        """
        ok_n, slot_n = predictions.status[rows] == Status.OK, predictions.slot[rows]
        found = []
        for kind in range(len(self._kinds)):
            open_n = np.asarray(self._store.field("alert.open_rank"))[slot_n, kind] > 0
            busy = np.unique(slot_n[ok_n & ((findings.rank_NK[rows, kind] > 0) | open_n)])
            if len(busy):
                asked_n = ~np.isnan(findings.strength_NK[rows, kind])
                if self._doubts is not None:
                    asked_n |= self._doubts.possible(kind, findings.doubted_NS[rows])
                judged = np.flatnonzero(ok_n & np.isin(slot_n, busy) & asked_n) + rows.start
                found += [(row, kind) for row in judged.tolist()]
        return found

    def _judge(self, slot: int, kind: int, finding: Finding) -> tuple[Memory, Decision]:
        cells = [self._store.field(f"alert.{name}") for name in MEMORY_FIELDS]
        memory = Memory(*(cell[slot, kind].item() for cell in cells))
        if finding.steered and self._steering is not None:
            told = finding.strength - finding.strictness
            finding = replace(finding, rank=self._steering.rank(memory, finding.row_number, told))
        decision = Decision(None, "no stage decided")
        for stage in self._stages:
            verdict = stage(finding, memory)
            if verdict is not None:
                decision = verdict
                break
        for name, cell in zip(MEMORY_FIELDS, cells, strict=True):
            cell[slot, kind] = getattr(memory, name)
        return memory, decision
