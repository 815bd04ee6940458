"""A monitor: what is watched, what is predicted, what is an alert. One file configures one monitor."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.components import (
    AlertSettings,
    DatabaseSettings,
    FittingSettings,
    KafkaSettings,
    ModelSettings,
    RaySettings,
    Severity,
    TrainingSettings,
    check_rising,
)
from schemas.duration import Duration
from schemas.frozen import Frozen
from schemas.horizon import Horizon, place_of
from schemas.knowledge import Knowledge
from schemas.label import FIELDS
from schemas.loss import LOSSES, Loss

Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f]{1,120}$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]
Probability = Annotated[float, Field(gt=0.0, le=1.0)]
TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
ABSURD = 1e15
"""Largest magnitude a signal without a declared range may have: beyond it float64 statistics lose their digits."""


class Transform(StrEnum):
    """The scale a signal is modelled on. Observations and forecasts stay in raw units."""

    LEVEL = "level"
    LOG_RETURN = "log-return"
    DIFFERENCE = "difference"


class Scope(StrEnum):
    """Whom a modality's observations concern: one entity, every entity, or one entity for good (age, sector)."""

    ENTITY = "entity"
    GLOBAL = "global"
    STATIC = "static"


class Signal(Frozen):
    """One measured quantity. `range` is [lowest, highest] plausible value, both included, in `unit`."""

    name: Name
    unit: str = ""
    loinc: tuple[str, ...] = ()
    range: tuple[float, float] = (-ABSURD, ABSURD)
    transform: Transform = Transform.LEVEL

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.range
        if not low < high:
            raise ValueError(f"expected range [low, high] with low < high, got [{low}, {high}]")
        if self.transform is Transform.LOG_RETURN and low <= 0:
            raise ValueError(f"expected a range above 0 for the log-return transform, got [{low}, {high}]")
        return self


class ModalityKind(StrEnum):
    """What arrives: numbers by name, a camera's frame, or a vector from the user's own encoder (text, audio)."""

    SIGNALS = "signals"
    IMAGE = "image"
    EMBEDDING = "embedding"


class Frame(Frozen):
    """The size that a camera's frames are brought to, whatever it sends; 1 channel is grey, 3 are red, green, blue."""

    channels: Literal[1, 3] = 1
    height: int = Field(default=32, ge=4, le=512)
    width: int = Field(default=32, ge=4, le=512)


class Modality(Frozen):
    """What arrives together. `max_age` masks a global value older than that.

    An image or embedding has no signals of its own: `carried` are derived from each frame or vector, so that all that
    is done for signals (statistics, age, forecasts, rules) is done for it. The frame or vector goes beside them.
    """

    name: Identifier
    kind: ModalityKind = ModalityKind.SIGNALS
    scope: Scope = Scope.ENTITY
    signals: tuple[Signal, ...] = ()
    frame: Frame | None = None
    size: int | None = Field(default=None, ge=1, le=65_536, description="numbers of an embedding")
    max_age: Duration | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        image, embedding = self.kind is ModalityKind.IMAGE, self.kind is ModalityKind.EMBEDDING
        if bool(self.signals) == (image or embedding):
            expected = "no signals" if self.signals else "at least one signal"
            raise ValueError(f"expected {expected} for a modality of kind {self.kind}, got {len(self.signals)}")
        if (self.size is None) == embedding:
            raise ValueError(f"expected size for a modality of kind embedding alone, got kind {self.kind}")
        if self.frame is not None and not image:
            raise ValueError(f"expected frame for a modality of kind image alone, got kind {self.kind}")
        if self.shape and self.scope is not Scope.ENTITY:
            raise ValueError(f"expected scope entity for a modality of kind {self.kind}, got {self.scope}")
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a frame, [channels, height, width] of bytes, or of a vector, [size] of float32; () for signals."""
        if self.kind is ModalityKind.IMAGE:
            frame = self.frame or Frame()
            return frame.channels, frame.height, frame.width
        return () if self.size is None else (self.size,)

    @property
    def carried(self) -> tuple[Signal, ...]:
        """Its signals: as configured; of an image brightness and contrast (mean and deviation of white = 1); a norm."""
        if self.kind is ModalityKind.IMAGE:
            return tuple(Signal(name=f"{self.name}.{name}", range=(0.0, 1.0)) for name in ("brightness", "contrast"))
        return self.signals if self.size is None else (Signal(name=f"{self.name}.norm", range=(0.0, ABSURD)),)


class TaskKind(StrEnum):
    """The kinds of question the network answers."""

    FORECAST = "forecast"
    ANOMALY = "anomaly"
    STATE = "state"
    EVENT = "event"


class Standing(Frozen):
    """What a row stands in now: `cuts` split the rule's score into so many standings and one."""

    rule: Identifier
    cuts: tuple[float, ...] = Field(min_length=1, max_length=64)


class Target(Frozen):
    """Where a state task's class comes from: the worst value a rule reaches within the entity's next `within` rows.

    `cuts` split the rule's score into classes: below cuts[0] is class 0, and so on. How often each class followed is
    counted by the class that the rule is in now, or by the `standing` that another rule is in.
    """

    rule: Identifier
    cuts: tuple[float, ...] = Field(min_length=1)
    within: int = Field(ge=1, le=96)
    standing: Standing | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for each in (self.cuts, self.counted_by.cuts):
            if list(each) != sorted(set(each)):
                raise ValueError(f"expected ascending cuts, got {each}")
        return self

    @property
    def counted_by(self) -> Self | Standing:
        """What tells the standings apart."""
        return self.standing or self


class Share(StrEnum):
    """Does a task learn and answer through what all share? `auto`: unless its private path is the better one."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Task(Frozen):
    """One question. `horizons` count the entity's next rows, or are durations; `quantiles` must contain 0.5.

    A state task without `target` is taught by labels alone.

    An event task asks whether something becomes true of the entity as a whole (death in hospital, default): what came
    true is told from outside, once, after the fact. Its probability is that of a yes, given all rows so far. With
    `within` it asks whether that happens within so many of the entity's next rows, or so long; it may happen again.

    A state or event task with `severities` raises alerts: the highest severity whose value is reached by the
    probability of the classes from `alert_from` on (default: the last class), or of a yes.
    """

    name: Identifier
    kind: TaskKind
    loss: Loss | None = None
    weight: float = Field(default=1.0, ge=0.0)
    share: Share = Share.AUTO
    horizons: tuple[Horizon, ...] = (1,)
    quantiles: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = (0.1, 0.5, 0.9)
    classes: tuple[Identifier, ...] = ()
    target: Target | None = None
    within: Horizon | None = None
    severities: dict[Severity, Probability] = Field(default_factory=dict)
    alert_from: Identifier | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.criterion.check(self.kind)
        if 0.5 not in self.quantiles or list(self.quantiles) != sorted(set(self.quantiles)):
            raise ValueError(f"expected ascending quantiles that contain 0.5, got {self.quantiles}")
        if (
            not self.horizons
            or self.horizons[0] != 1
            or list(self.horizons) != sorted(set(self.horizons), key=place_of)
        ):
            seen = ", ".join(map(str, self.horizons))
            raise ValueError(f"expected ascending horizons that start with 1, durations last, got ({seen})")
        if self.kind is TaskKind.STATE:
            self._check_classes()
        if self.kind is TaskKind.EVENT and (self.target or self.classes):
            raise ValueError("expected neither target nor classes for an event task: its outcome is told from outside")
        if self.kind is not TaskKind.EVENT and self.within is not None:
            raise ValueError(f"expected within for an event task only, got it for kind {self.kind}")
        self._check_severities()
        return self

    def _check_classes(self) -> None:
        if self.target is None and len(self.classes) < 2:
            raise ValueError(f"expected at least 2 classes for a state task without target, got {self.classes}")
        if self.target is not None and len(self.classes) != len(self.target.cuts) + 1:
            raise ValueError(f"expected {len(self.target.cuts) + 1} classes (one more than cuts), got {self.classes}")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"expected each class once, got {self.classes}")

    def _check_severities(self) -> None:
        if self.severities and self.kind not in {TaskKind.STATE, TaskKind.EVENT}:
            raise ValueError(f"expected severities for a state or event task only, got them for kind {self.kind}")
        check_rising(self.severities)
        if self.alert_from is None:
            return
        if not self.severities or self.kind is not TaskKind.STATE:
            raise ValueError("expected alert_from beside the severities of a state task only")
        if self.alert_from not in self.classes[1:]:
            raise ValueError(f"expected alert_from one of {', '.join(self.classes[1:])}, got {self.alert_from!r}")

    @property
    def warns_from(self) -> int:
        """Index of the first class that an alert is about; of an event: yes."""
        return self.classes.index(self.alert_from) if self.alert_from else max(len(self.classes), 2) - 1

    @property
    def criterion(self) -> Loss:
        """The loss as configured, or its kind's default."""
        return self.loss or Loss(name=LOSSES[self.kind][0])


class RuleKind(StrEnum):
    """Rules that run whatever the network does."""

    NEWS2 = "news2"
    BAND = "band"
    MOVE = "move"
    FROZEN = "frozen"
    FALL = "fall"
    AVERAGE = "average"


class Rule(Frozen):
    """A hard rule. The highest severity whose value the rule's score reaches is the alert's; without, it raises none.

    news2: aggregate score of `inputs` (vital -> signal; Royal College of Physicians, 2017), a missing vital counts 0.
    band:  how far `signal` lies outside [low, high], in raw units; a value on the bound is inside.
    move:  |change of `signal`| (of its logarithm where the transform says so) over the entity's running mean one.
    fall:  how far `signal` lies below its last value, in percent of it (log-return), else in raw units; a rise is 0.
    average: the mean of about the last four values of `signal`, in raw units (of its logarithm: the geometric mean).
    frozen: how often in a row all of `inputs`, or `signal`, stayed what they were, in multiples of `rows`.
    """

    name: Identifier
    kind: RuleKind
    severities: dict[Severity, float] = Field(default_factory=dict)
    signal: Name | None = None
    low: float | None = None
    high: float | None = None
    inputs: dict[str, Name] = Field(default_factory=dict)
    rows: int | None = Field(default=None, ge=1, le=100_000)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind is RuleKind.NEWS2 and not self.inputs:
            raise ValueError("expected inputs {vital: signal} for a news2 rule, got none")
        if (self.kind is RuleKind.FROZEN) == (self.rows is None):
            raise ValueError(f"expected rows for a frozen rule alone, got {self.rows} for a {self.kind} rule")
        if self.kind is not RuleKind.NEWS2 and not self._reads_inputs and self.signal is None:
            raise ValueError(f"expected a signal for a {self.kind} rule, got none")
        if self.kind is RuleKind.BAND and self.low is None and self.high is None:
            raise ValueError("expected low or high for a band rule, got neither")
        check_rising(self.severities)
        return self

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals the rule reads."""
        return tuple(self.inputs.values()) if self._reads_inputs else (self.signal or "",)

    @property
    def _reads_inputs(self) -> bool:
        return bool(self.inputs) and self.kind in {RuleKind.NEWS2, RuleKind.FROZEN}


class Topics(Frozen):
    """Kafka topics. An empty `dead_letters` means ``<observations>.dlq``; refused labels go to ``<labels>.dlq``.

    Without `labels` nothing is learned from labels while running, and nothing is kept for them.
    """

    observations: TopicName
    globals: TopicName | None = None
    dead_letters: TopicName | None = None
    labels: TopicName | None = None

    @property
    def dlq(self) -> str:
        """The dead-letter topic."""
        return self.dead_letters or f"{self.observations}.dlq"

    @property
    def labels_dlq(self) -> str:
        """The dead-letter topic of labels. Raises ValueError where there are none."""
        if self.labels is None:
            raise ValueError("topics.labels: got none; expected a topic")
        return f"{self.labels}.dlq"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.labels is not None and self.labels in {self.observations, self.globals, self.dlq}:
            raise ValueError(f"expected labels on a topic of their own, got {self.labels!r} twice")
        return self


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
        for reserved in {self.entity, self.time} & set(FIELDS) if self.topics.labels else ():
            raise ValueError(f"expected entity and time keys that are no field of a label, got {reserved!r}")
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
