"""A label: what turned out to be true, and when that became known."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    """What a task should have said of an entity. Nothing may be learned from it before it was revealed.

    Attributes:
        entity: whom it concerns.
        task: the name of the anomaly task, a state task, or an event task.
        time_ms: event time of the one row it is about; None: the entity as a whole (event tasks).
        value: of a state the index of its class; else whether it is so.
        until_ms: of an event when it happened; where it did not, until when that is known.
    """

    entity: str
    task: str
    time_ms: int | None
    value: int
    until_ms: int | None = None
