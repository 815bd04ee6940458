"""A monitor: what is watched, what is predicted, what is an alert. One file configures one monitor."""

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
from schemas.modality import Modality, Scope
from schemas.names import Identifier, Name
from schemas.rule import Rule
from schemas.signal import Transform
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
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    fitting: FittingSettings = FittingSettings()
    kafka: KafkaSettings = KafkaSettings()
    database: DatabaseSettings = DatabaseSettings()
    ray: RaySettings = RaySettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [signal.name for modality in self.modalities for signal in modality.carried]
        _unique("signal", names)
        _unique("modality", [modality.name for modality in self.modalities])
        _unique("task", [task.name for task in self.tasks])
        _unique("rule", [rule.name for rule in self.rules])
        if not any(modality.scope is Scope.ENTITY for modality in self.modalities):
            raise ValueError("expected at least one modality of scope entity, got none")
        vectors = [modality.name for modality in self.modalities if modality.shape]
        for reserved in ({self.entity, self.time} & {*names, *vectors}) | (set(vectors) & set(names)):
            raise ValueError(f"expected a signal name other than the entity and time keys, got {reserved!r}")
        for kind in (TaskKind.FORECAST, TaskKind.ANOMALY):
            if sum(task.kind is kind for task in self.tasks) != 1:
                raise ValueError(f"expected exactly one {kind} task")
        for rule in self.rules:
            for missing in set(rule.signals) - set(names):
                raise ValueError(f"rule {rule.name}: expected a configured signal, got {missing!r}")
        for task in self.tasks:
            if task.share is Share.NEVER and not self.model.private:
                raise ValueError(f"task {task.name}: expected model.private above 0 for share never, got 0")
        self._check_targets()
        self._check_knowledge()
        return self

    def _check_targets(self) -> None:
        read = {
            rule: task.name
            for task in self.tasks
            if task.target
            for rule in (task.target.rule, task.target.counted_by.rule)
        }
        configured = {rule.name for rule in self.rules}
        for rule, task in read.items():
            if rule not in configured:
                raise ValueError(f"task {task}: expected the name of a configured rule, got {rule!r}")
        for each in self.rules:
            if not each.severities and each.name not in read and not self.knowledge.features:
                raise ValueError(f"rule {each.name}: expected severities, or a state task that reads it, got neither")

    def _check_knowledge(self) -> None:
        forecast = [each for modality in self.modalities if modality.scope is Scope.ENTITY for each in modality.signals]
        self.knowledge.check(
            {signal.name: signal.range for signal in forecast},
            {signal.name for signal in forecast if signal.transform is Transform.LOG_RETURN},
            [task.name for task in self.tasks if task.kind is TaskKind.STATE],
        )
        static = [each for modality in self.modalities if modality.scope is Scope.STATIC for each in modality.signals]
        level = {signal.name: signal.range for signal in static if signal.transform is Transform.LEVEL}
        self.knowledge.check_relations(level)


def _unique(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"expected each {what} name once, got {name!r} twice")
