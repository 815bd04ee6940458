"""`silence`: what a feed that fails does, and how it is told. Silence is not health."""

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from schemas.alerting import Severity
from schemas.duration import Duration
from schemas.frozen import Frozen
from schemas.names import Name

TASK = "silence"
"""What asks, in an alert of a feed that failed."""


class SilenceKind(StrEnum):
    """The ways in which a feed fails, one kind of alert each."""

    STOPPED = "stopped"
    """A signal did not come for so many of its periods, as the partition's other entities or the clock show."""
    GAP = "gap"
    """It came again after so long, before anybody had noticed."""
    FROZEN = "frozen"
    """Its value stays what it is, far longer than is usual for it, or has never moved where those of others do."""
    REPEATED = "repeated"
    """The entity's rows are those of a while ago, in the same order, with new times."""
    SKEW = "skew"
    """Rows are told to have happened after they were recorded, or before by far more than others are.

    What is known is the record's timestamp in Kafka. `bellwether produce` writes the event time there: of data that it
    sent no clock can be seen to be wrong.
    """
    UNIT = "unit"
    """Its values are what is usual for it, in another unit."""


TOLD_BY_ROWS = tuple(kind for kind in SilenceKind if kind is not SilenceKind.STOPPED)
"""Kinds that an entity's own rows show."""


class SilenceSettings(Frozen):
    """What is expected of a feed. Periods are learned from each entity's own gaps where none is declared.

    `after` is just below 2, so that what stopped is told within two periods. A repetition or another unit is told by
    its second row, a wrong clock by the first or second; a frozen signal by the fourth equal value at the soonest, for
    equal values are normal where they are rounded (`scorer.silence.still`).
    """

    periods: dict[Name, Duration] = Field(default_factory=dict, description="signal -> how often it comes at least")
    after: float = Field(default=1.9, gt=1, le=1000, description="periods without a value before a signal has stopped")
    skew: Duration = Field(default=timedelta(seconds=1), description="event time tolerated ahead of the record's")
    behind: Duration = Field(
        default=timedelta(minutes=1), description="event time tolerated behind the record's, beyond what others have"
    )
    kinds: tuple[SilenceKind, ...] = tuple(SilenceKind)
    severities: dict[SilenceKind, Severity] = Field(
        default_factory=lambda: {SilenceKind.GAP: Severity.INFO}, description="of a kind, in place of warning"
    )
