"""The Kafka topics of a monitor."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.frozen import Frozen

TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


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
            raise ValueError(f"labels: expected a topic of their own, got {self.labels!r} twice")
        return self
