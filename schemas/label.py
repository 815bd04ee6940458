"""A label: what turned out to be true, and when that became known."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    """What a task should have said of an entity. Nothing may be learned from it before it was revealed.

    Attributes:
        entity: whom it concerns.
        task: the anomaly task's name, or an event task's.
        time_ms: event time of the one row it is about; None: the entity as a whole.
        value: is it so?
    """

    entity: str
    task: str
    time_ms: int | None
    value: bool
