"""One question that the network answers, and what teaches it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.alerting import Severity, check_rising
from schemas.frozen import Frozen
from schemas.horizon import Horizon, place_of
from schemas.loss import LOSSES, Loss
from schemas.names import Identifier, check_known

Probability = Annotated[float, Field(gt=0.0, le=1.0)]


class TaskKind(StrEnum):
    """The kinds of question the network answers."""

    FORECAST = "forecast"
    ANOMALY = "anomaly"
    STATE = "state"
    EVENT = "event"


class Standing(Frozen):
    """What a row stands in now: `cuts` split the rule's score into so many standings and one.

    Where the rule says nothing, as of an entity that has no such signal, it is what it stands in `otherwise`.
    """

    rule: Identifier
    cuts: tuple[float, ...] = Field(min_length=1, max_length=64)
    # Weights say by which standings they counted: what is not set is not named, so that older ones still fit.
    otherwise: "Standing | None" = Field(default=None, exclude_if=lambda value: value is None)


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
        for key, each in self._counted.items():
            if list(each.cuts) != sorted(set(each.cuts)):
                raise ValueError(f"{key}cuts: expected ascending numbers")
        return self

    @property
    def reads(self) -> dict[str, str]:
        """Key -> name of each rule it takes classes or standings from."""
        return {f"{key}rule": each.rule for key, each in self._counted.items()}

    @property
    def counted_by(self) -> "tuple[Target | Standing, ...]":
        """What tells the standings apart: each where those before say nothing."""
        target, *standings = self._counted.values()
        return tuple(standings) or (target,)

    @property
    def _counted(self) -> "dict[str, Target | Standing]":
        """What has a rule and cuts, by what stands before their keys; itself first."""
        found: dict[str, Target | Standing] = {"": self}
        key, each = "standing.", self.standing
        while each is not None:
            found[key] = each
            key, each = f"{key}otherwise.", each.otherwise
        return found


class Share(StrEnum):
    """Does a task learn and answer through what all share? `auto`: unless its private path is the better one."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


_KINDS: Mapping[str, frozenset[TaskKind]] = {
    "classes": frozenset({TaskKind.STATE}),
    "target": frozenset({TaskKind.STATE}),
    "alert_from": frozenset({TaskKind.STATE}),
    "within": frozenset({TaskKind.EVENT}),
    "severities": frozenset({TaskKind.STATE, TaskKind.EVENT}),
}
"""Settings that only tasks of some kinds have."""


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
            raise ValueError("quantiles: expected ascending ones that contain 0.5")
        if (
            not self.horizons
            or self.horizons[0] != 1
            or list(self.horizons) != sorted(set(self.horizons), key=place_of)
        ):
            raise ValueError("horizons: expected ascending ones that start with 1, durations last")
        for key, kinds in _KINDS.items():
            if getattr(self, key) and self.kind not in kinds:
                raise ValueError(f"{key}: expected kind {' or '.join(sorted(kinds))} beside it, not {self.kind}")
        if self.kind is TaskKind.STATE:
            self._check_classes()
        check_rising(self.severities)
        return self

    @property
    def of_whole(self) -> bool:
        """Does it ask something of the entity as a whole, which is told once of all its rows?"""
        return self.kind is TaskKind.EVENT and self.within is None

    def _check_classes(self) -> None:
        if self.target is None and len(self.classes) < 2:
            raise ValueError("classes: expected at least 2 for a state task without target")
        if self.target is not None and len(self.classes) != len(self.target.cuts) + 1:
            raise ValueError(f"classes: expected {len(self.target.cuts) + 1}, one more than target.cuts")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: expected each once")
        if self.alert_from is None:
            return
        check_known("alert_from", [self.alert_from], self.classes[1:], "a class after the first")
        if not self.severities:
            raise ValueError("alert_from: expected severities beside it")

    @property
    def warns_from(self) -> int:
        """Index of the first class that an alert is about; of an event: yes."""
        return self.classes.index(self.alert_from) if self.alert_from else max(len(self.classes), 2) - 1

    @property
    def criterion(self) -> Loss:
        """The loss as configured, or its kind's default."""
        return self.loss or Loss(name=LOSSES[self.kind][0])
