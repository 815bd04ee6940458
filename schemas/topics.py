"""The Kafka topics of a monitor."""

from typing import Annotated

from pydantic import Field

from schemas.frozen import Frozen

TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class Topics(Frozen):
    """Kafka topics. An empty `dead_letters` means ``<observations>.dlq``."""

    observations: TopicName
    globals: TopicName | None = None
    dead_letters: TopicName | None = None

    @property
    def dlq(self) -> str:
        """The dead-letter topic."""
        return self.dead_letters or f"{self.observations}.dlq"
