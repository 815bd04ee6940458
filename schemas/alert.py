"""An alert and its life."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import NAMESPACE_URL, uuid5

from schemas.alerting import Severity
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
    WITHHELD = "withheld"
    """It would have been resolved here, had its own feed not been in doubt."""
    RESOLVED = "resolved"
    ACKNOWLEDGED = "acknowledged"
    FALSE_ALARM = "false-alarm"


class Rung(StrEnum):
    """Who computed the score that raised an alert, down the ladder by which the monitor degrades.

    A rule and the detector answer whatever became of the network, and alike whichever version serves.
    """

    NETWORK = "network"
    """A state or event task's head, of the version that serves."""
    LAST_GOOD = "last good network"
    """The same, of an older version: a newer one was rolled back, or could not be loaded."""
    DETECTOR = "detector"
    """The label-free anomaly score, which has no learned weights."""
    RULE = "rule"
    """A hard rule, or the watch over silent feeds."""


def raised_by(rung: str, version: int) -> str:
    """Who raised an alert, for people: ``network v3``. What has no weights has no version either.

    Args:
        rung: a `Rung`, or what an older program wrote.
        version: that served the alert's row.
    """
    return f"{rung} v{version}" if rung in {Rung.NETWORK, Rung.LAST_GOOD} else str(rung)


RAISED = (Change.OPENED, Change.UPDATED, Change.ESCALATED)
"""Steps at whose rows there was something to warn of; the others end or judge an alert."""


ALARMS = (Change.OPENED, Change.ESCALATED)
"""Steps that call somebody: what a budget counts."""


LEARNED = "tail"
"""Kind of the learned score's alerts."""
JUDGED = (Change.ACKNOWLEDGED, Change.FALSE_ALARM)
"""Steps that a person took."""


class Judgement(StrEnum):
    """What a person says of an alert: it was right, it was a false alarm, or nobody can tell."""

    TRUE = "true"
    FALSE = "false"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Taken:
    """What a rule took for one of its signals.

    Attributes:
        value: raw units; None: never seen, or too long ago to count.
        age_seconds: how long before the alert's row it was measured, 0: in that row; None where there is no value.
        points: what it added to the rule's sum; None for rules that do not add up points, and where there is no value.
    """

    value: float | None
    age_seconds: float | None
    points: float | None = None


@dataclass(frozen=True, slots=True)
class SignalReason:
    """One signal's part in an alert, in raw units.

    Attributes:
        signal: its name.
        observed: what the alert's own row carried; None: nothing.
        expected: what had been forecast for it; None: nothing.
        evidence: of the learned score, about -log10 p.
        taken: what the rule took for it, perhaps from an earlier row; None for an alert of the learned score.
        statistic: which of the learned score's statistics brought most of the evidence; None for an alert of a rule.
    """

    signal: str
    observed: float | None
    expected: float | None
    evidence: float
    taken: Taken | None = None
    statistic: str | None = None


@dataclass(frozen=True, slots=True)
class ModalityPart:
    """How much a task looked at one modality.

    Attributes:
        modality: its name.
        attention: share, mean over attention heads; a task's shares and its `nothing` sum to 1; None: its private path
            answered, which looks at running statistics and has no attention.
        age_seconds: since any of its signals was last seen, 0: in the alert's row; None: never.
    """

    modality: str
    attention: float | None
    age_seconds: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the network looked at when it judged an alert's row.

    Attributes:
        task: of the network: whose attention this is.
        modalities: in the configured order.
        nothing: attention on the token that stands for "nothing was seen"; None as there.
        tasks: task -> how much this one looked at it; sums to 1; empty where its private path answered.
        signals: of every signal that came, was forecast or brought evidence, not of the first few alone.
    """

    task: str
    modalities: tuple[ModalityPart, ...]
    nothing: float | None
    tasks: tuple[tuple[str, float], ...]
    signals: tuple[SignalReason, ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """One transition of one alert. Natural key: monitor, entity, task, kind, started.

    `task` is what was asked (a task's or a rule's name), `kind` what was found (tail, a rule's kind, state, event).
    Of a state or event `score` and `probability` are the same: that of the classes it warns of. `explanation` is None
    where no network had a part in it. `model_version` served the row, whether it raised the alert (`rung`) or not.
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
    rung: Rung
    partition: Partition
    offset: int
    summary: str
    explanation: Explanation | None = None

    @property
    def id(self) -> str:
        """Deterministic identity: the same alert replayed has the same one."""
        key = f"{self.monitor}/{self.entity}/{self.task}/{self.kind}/{self.started.isoformat()}"
        return str(uuid5(NAMESPACE_URL, f"bellwether:{key}"))
