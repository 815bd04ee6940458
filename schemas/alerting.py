"""How bad things are, and when a score becomes an alert."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from schemas.budget import Budget, parse_budget
from schemas.frozen import Frozen
from schemas.names import Identifier


class Severity(StrEnum):
    """How bad. Ordered: info < warning < critical."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """1, 2 or 3; 0 is kept for "none"."""
        return list(Severity).index(self) + 1


def check_rising(severities: Mapping[Severity, float]) -> None:
    """Refuse a worse severity that is reached sooner: the milder one could never be raised. Raises ValueError."""
    values = [severities[level] for level in Severity if level in severities]
    if values != sorted(values):
        raise ValueError("severities: expected values that rise from info to critical")


Cost = Annotated[float, Field(gt=0, le=1e6)]
_STEERED = Budget(rows=0.25)


class AlertSettings(Frozen):
    """When a score becomes an alert.

    `threshold` and `critical` are evidence: about -log10 p of the row's strangest signal. The threshold steers itself,
    per entity: an alert raises it by `steering`, and each row lowers it so much that `budget` alerts cancel out, down
    to `relaxation` below where it began. An entity that keeps alarming is soon judged by its own worst rows.

    A `budget` with a unit (`0.5 per entity-day`) is kept instead: all kinds of alert share it by what they are worth,
    their probability times `cost_of_miss`. Rules of severity `always` or worse are counted, never held back.

    With a `false_discovery_rate` instead of a budget, evidence is enough where at most so large a share of the learned
    score's alerts is false (`scorer.stages.wealth` says what is guaranteed). What rules and tasks find has severities
    of its own, and is never held back by it.
    """

    threshold: float = Field(default=2.0, gt=0, le=12)
    critical: float = Field(default=4.0, gt=0, le=15)
    budget: Annotated[Budget, BeforeValidator(parse_budget)] = Field(
        default=_STEERED, description="a number: alerts expected per 1,000 rows of an entity; with a unit: kept"
    )
    false_discovery_rate: float | None = Field(
        default=None,
        gt=0,
        le=0.5,
        description="share of the learned score's alerts that may be false; without a budget",
    )
    cost_of_miss: Cost = Field(default=5.0, description="of a miss, where a false alarm costs 1")
    costs_of_miss: dict[Identifier, Cost] = Field(
        default_factory=dict, description="of a task or rule by name, instead"
    )
    always: Severity = Field(default=Severity.CRITICAL, description="rules so bad or worse are never held back")
    steering: float = Field(default=0.1, ge=0, le=10, description="by how much an alert raises the entity's threshold")
    relaxation: float = Field(default=0.3, ge=0, le=12, description="how far a quiet entity's threshold may fall")
    persistence: int = Field(default=1, ge=1, le=1000, description="consecutive rows above before an alert opens")
    cooldown: int = Field(default=100, ge=0, description="rows of an entity's silence after an alert of one kind")
    escalation: float = Field(
        default=1.3, ge=1.0, description="a score this many times the last alert's breaks the silence"
    )
    resolve_after: int = Field(default=12, ge=1, le=10_000, description="consecutive rows below before it resolves")
    warm_up: int = Field(default=20, ge=0, description="rows an entity must have shown before scores may alert")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.false_discovery_rate is not None and self.budget != _STEERED:
            raise ValueError("false_discovery_rate: expected no budget beside it, got both")
        return self

    def cost_of(self, name: str) -> float:
        """Of a miss of a task or rule, where a false alarm costs 1."""
        return self.costs_of_miss.get(name, self.cost_of_miss)

    @property
    def kept(self) -> Budget | None:
        """The budget that is kept; None: thresholds move by rows and alerts alone."""
        return self.budget if self.budget.kept else None

    @property
    def steered(self) -> bool:
        """Do thresholds move by rows and alerts alone?"""
        return self.kept is None and self.false_discovery_rate is None
