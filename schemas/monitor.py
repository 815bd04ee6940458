"""A monitor: what is watched, what is predicted, what is an alert. One file configures one monitor."""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from schemas.alerting import AlertSettings
from schemas.components import (
    DatabaseSettings,
    FittingSettings,
    KafkaSettings,
    ModelSettings,
    RaySettings,
    TrainingSettings,
)
from schemas.duration import Duration
from schemas.frozen import Frozen
from schemas.knowledge import Knowledge
from schemas.label import FIELDS
from schemas.modality import Modality, Scope
from schemas.names import Identifier, Name, check_known, check_unique
from schemas.rule import Rule
from schemas.signal import Signal, Transform
from schemas.silence import TASK, SilenceSettings
from schemas.task import Share, Task, TaskKind
from schemas.topics import Topics


class Conflicts(StrEnum):
    """What a second, different value for the same entity, time and signal does."""

    LAST_WINS = "last-wins"
    FIRST_WINS = "first-wins"


class Monitor(Frozen):
    """Everything that one `bellwether run` needs to know."""

    monitor: Identifier
    description: str = ""
    topics: Topics
    entity: Name = "entity"
    time: Name = "time"
    lateness: Duration = timedelta(0)
    max_ahead: Duration = Field(default=timedelta(minutes=5), description="event time tolerated ahead of the clock")
    conflicts: Conflicts = Conflicts.LAST_WINS
    max_record_bytes: int = Field(default=1_000_000, ge=1)
    modalities: tuple[Modality, ...] = Field(min_length=1)
    tasks: tuple[Task, ...] = Field(min_length=1)
    rules: tuple[Rule, ...] = ()
    knowledge: Knowledge = Knowledge()
    alerts: AlertSettings = AlertSettings()
    silence: SilenceSettings | None = None
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    fitting: FittingSettings = FittingSettings()
    kafka: KafkaSettings = KafkaSettings()
    database: DatabaseSettings = DatabaseSettings()
    ray: RaySettings = RaySettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_modalities()
        self._check_tasks()
        self._check_rules()
        self._check_knowledge()
        self._check_labels()
        self._check_alerts()
        return self

    def _check_modalities(self) -> None:
        check_unique("modality", _names("modalities", self.modalities))
        fields = [("entity", self.entity), ("time", self.time)]
        for place, modality in enumerate(self.modalities):
            key = f"modalities.{place}"
            vector = [(f"{key}.name", modality.name)] if modality.shape else []
            derived = [(f"{key}.name", each.name) for each in modality.carried if modality.shape]
            fields += [*vector, *derived, *_names(f"{key}.signals", modality.signals)]
        check_unique("field of a message", fields)
        if not any(modality.scope is Scope.ENTITY for modality in self.modalities):
            raise ValueError("modalities: expected at least one of scope entity, got none")

    def _check_tasks(self) -> None:
        check_unique("task", _names("tasks", self.tasks))
        for kind in (TaskKind.FORECAST, TaskKind.ANOMALY):
            count = sum(task.kind is kind for task in self.tasks)
            if count != 1:
                raise ValueError(f"tasks: expected exactly one of kind {kind}, got {count or 'none'}")
        if not any(task.weight for task in self.tasks):
            raise ValueError("tasks: expected a weight above 0 for at least one of them, got 0 for each")
        rules = [rule.name for rule in self.rules]
        for place, task in enumerate(self.tasks):
            if task.share is Share.NEVER and not self.model.private:
                raise ValueError(f"tasks.{place}.share: expected model.private above 0 beside it")
            if task.target:
                for key, name in task.target.reads.items():
                    check_known(f"tasks.{place}.target.{key}", [name], rules, "a rule")

    def _check_rules(self) -> None:
        check_unique("rule", _names("rules", self.rules))
        signals = [signal.name for modality in self.modalities for signal in modality.carried]
        read = {name for task in self.tasks if task.target for name in task.target.reads.values()}
        for place, rule in enumerate(self.rules):
            for key, name in rule.reads.items():
                check_known(f"rules.{place}.{key}", [name], signals, "a signal")
            if not rule.severities and rule.name not in read and not self.knowledge.features:
                expected = "some, or a state task that reads the rule, or knowledge.features"
                raise ValueError(f"rules.{place}.severities: expected {expected}")

    def _check_knowledge(self) -> None:
        forecast = [each for modality in self.modalities if modality.scope is Scope.ENTITY for each in modality.signals]
        self.knowledge.check(
            {signal.name: signal.range for signal in forecast},
            {signal.name for signal in forecast if signal.transform is Transform.LOG_RETURN},
            [task.name for task in self.tasks if task.kind is TaskKind.STATE and task.target],
        )
        static = [each for modality in self.modalities if modality.scope is Scope.STATIC for each in modality.signals]
        level = {signal.name: signal.range for signal in static if signal.transform is Transform.LEVEL}
        self.knowledge.check_relations(level)

    def _check_labels(self) -> None:
        for key, name in (("entity", self.entity), ("time", self.time)) if self.topics.labels else ():
            if name in FIELDS:
                raise ValueError(f"{key}: expected a name that is no field of a label, got {name!r}")

    def _check_alerts(self) -> None:
        asking = [task.name for task in self.tasks] + [rule.name for rule in self.rules]
        check_known("alerts.costs_of_miss", self.alerts.costs_of_miss, asking, "a task or a rule")
        if self.alerts.budget.by is not None:
            check_known("alerts.budget.by", [self.alerts.budget.by], self._carried(Scope.STATIC), "a static signal")
        if self.silence is not None:
            check_known("silence.periods", self.silence.periods, self._carried(Scope.ENTITY), "a signal of an entity")
            if TASK in asking:
                raise ValueError(f"silence: expected no task or rule of that name, got {TASK!r}")

    def _carried(self, scope: Scope) -> list[str]:
        return [signal.name for modality in self.modalities if modality.scope is scope for signal in modality.carried]


def _names(key: str, listed: Sequence[Modality | Signal | Task | Rule]) -> list[tuple[str, str]]:
    return [(f"{key}.{place}.name", each.name) for place, each in enumerate(listed)]
