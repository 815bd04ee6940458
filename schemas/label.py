"""A label: what turned out to be true, when that became known, and who says so."""

from dataclasses import dataclass
from enum import StrEnum

from schemas.observation import Partition

TASK, LABEL, OCCURRED, REVEALED, SOURCE = "task", "label", "occurred_at", "revealed_at", "source"
FIELDS = (TASK, LABEL, OCCURRED, REVEALED, SOURCE)
"""What a label's message may hold beside entity and time; the words are those of an outcomes file."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a task should have said of an entity. Nothing may be learned from it before it was revealed.

    Attributes:
        entity: whom it concerns.
        task: the name of the anomaly task, a state task, or an event task.
        time_ms: event time of the one row it is about; None: the entity as a whole (event tasks).
        value: of a state the index of its class; else whether it is so.
        until_ms: of an event when it happened; where it did not, until when that is known.
        source: who says so; empty: that was not told.
    """

    entity: str
    task: str
    time_ms: int | None
    value: int
    until_ms: int | None = None
    source: str = ""

    @property
    def about(self) -> tuple[str, str, str, int | None]:
        """Whose word it is about what: the last one before learning counts. Nobody takes back what another said."""
        return self.source, self.entity, self.task, self.time_ms


@dataclass(frozen=True, slots=True)
class Annotation:
    """A label as it was received.

    Attributes:
        label: what it says.
        due_ms: event time that must have passed before it may be learned from: that of all it speaks of.
        revealed_ms: when it became known, as its sender says; None: when it was received.
        partition: where it came from.
        offset: its place there.
    """

    label: Label
    due_ms: int
    revealed_ms: int | None
    partition: Partition
    offset: int


class LabelStatus(StrEnum):
    """What became of a label, as written to the column `labels.status`."""

    WAITING = "waiting"
    """Its time has not passed, its row has not come, or too few others wait for a step."""
    TAUGHT = "taught"
    REFUSED = "refused"
    """The step that it was in would have spoiled the network."""
    SUPERSEDED = "superseded"
    """A later word about the same came before it was learned from."""
    UNMATCHED = "unmatched"
    """Its row was never observed, or is forgotten."""
    EXPIRED = "expired"
    """It waited too long, or too many came after it."""
    EXCLUDED = "excluded"
    """Its source was excluded."""

    @property
    def final(self) -> bool:
        """Is nothing more to come of it?"""
        return self is not LabelStatus.WAITING


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a label.

    Attributes:
        annotation: the label as it was received.
        status: what became of it.
        step: of the learner, in which it was.
        belief: the probability that the network gave to what it says, before that step.
        rows_until: the offset after the last of its entity's rows that it was learned with.
    """

    annotation: Annotation
    status: LabelStatus
    step: int | None = None
    belief: float | None = None
    rows_until: int | None = None
