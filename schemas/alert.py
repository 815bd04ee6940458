"""An alert and its life."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import NAMESPACE_URL, uuid5

from schemas.components import Severity
from schemas.observation import Partition


class Phase(StrEnum):
    """Where an alert stands."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Change(StrEnum):
    """A step in an alert's life, as written to alert_events."""

    OPENED = "opened"
    UPDATED = "updated"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class SignalReason:
    """One signal's part in an alert: raw units; `expected` None where nothing had been forecast."""

    signal: str
    observed: float | None
    expected: float | None
    evidence: float


@dataclass(frozen=True, slots=True)
class Alert:
    """One transition of one alert. Natural key: monitor, entity, task, kind, started.

    `task` is what was asked (anomaly, or a rule's name), `kind` what was found (tail, news2, band, move).
    """

    monitor: str
    entity: str
    task: str
    kind: str
    started: datetime
    change: Change
    severity: Severity
    event_time: datetime
    peak_time: datetime
    score: float
    probability: float
    reasons: tuple[SignalReason, ...]
    model_version: int
    rung: str
    partition: Partition
    offset: int
    summary: str

    @property
    def id(self) -> str:
        """Deterministic identity: the same alert replayed has the same one."""
        key = f"{self.monitor}/{self.entity}/{self.task}/{self.kind}/{self.started.isoformat()}"
        return str(uuid5(NAMESPACE_URL, f"bellwether:{key}"))
