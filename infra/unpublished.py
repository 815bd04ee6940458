"""A registry for learning again: what was published, noted and recorded then is not so twice."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.registry import SqlRegistry
from schemas.newest import UNKNOWN, Newest
from schemas.observation import Ranges
from schemas.protocols import Action, ModelRecord


@dataclass(slots=True)
class Unpublished:
    """`schemas.protocols.Registry` that publishes nothing: it keeps the digests of what would be.

    Attributes:
        registry: where versions are read from.
        served: the one that serves; 0: none.
        versions: numbers that what is published had then.
        tried: would it be tried before it serves?
        digests: number -> SHA-256 of what would be published.
    """

    registry: SqlRegistry
    served: int
    versions: list[int] = field(default_factory=list)
    tried: bool = False
    digests: dict[int, str] = field(default_factory=dict)

    def serving(self) -> ModelRecord | None:
        """The version that served then."""
        return self.registry.get(self.served) if self.served else None

    def get(self, version: int) -> ModelRecord:
        """As the registry says."""
        return self.registry.get(version)

    def load(self, record: ModelRecord) -> bytes:
        """As the registry says."""
        return self.registry.load(record)

    def publish_first(self, weights: bytes) -> ModelRecord:
        """As `publish`."""
        return self.publish(weights, None, {})

    def publish(
        self, weights: bytes, parent: int | None, metrics: Mapping[str, float], newest: Newest = UNKNOWN
    ) -> ModelRecord:
        """The numbers are those of then; a version that was not published then has none."""
        del newest
        number = self.versions[len(self.digests)] if len(self.digests) < len(self.versions) else 0
        digest = hashlib.sha256(weights).hexdigest()
        self.digests[number] = digest
        return ModelRecord(number, "", digest, parent, metrics, "challenger" if self.tried else "serving")

    def note(self, version: int, standing: str, who: str, why: str) -> None:
        """It was noted then."""

    def record_metrics(self, version: int, step: int, events: int, metrics: Mapping[str, float]) -> None:
        """They were recorded then."""

    def quarantine(self, reason: str, ranges: Ranges) -> None:
        """It was recorded then."""

    def record_action(self, version: int, step: int, events: int, action: Action) -> None:
        """It was recorded then."""
