"""Ledger and registry in memory: a backtest reads files from the start and needs neither restart nor fencing."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from schemas.alert import Alert
from schemas.errors import ModelError
from schemas.newest import UNKNOWN, Newest
from schemas.observation import Partition, Ranges
from schemas.protocols import Action, Advance, ModelRecord, Position, Tally


class MemoryLedger:
    """Counts what was committed."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.alerts = 0

    def acquire(self, partition: Partition) -> Position:  # noqa: ARG002
        """Every partition starts at its beginning."""
        return Position(epoch=1, committed=-2, snapshots=(), swaps=())

    def commit(self, alerts: Sequence[Alert], advances: Sequence[Advance]) -> None:
        """Add up."""
        self.alerts += len(alerts)
        for advance in advances:
            self.tally = Tally(
                self.tally.accepted + advance.tally.accepted,
                self.tally.partly + advance.tally.partly,
                self.tally.dead_lettered + advance.tally.dead_lettered,
                self.tally.duplicate + advance.tally.duplicate,
            )

    def release(self, partition: Partition) -> None:
        """Nothing is held."""


class MemoryRegistry:
    """Versions of one process's life, numbered from 1."""

    def __init__(self) -> None:
        self._records: list[ModelRecord] = []
        self._weights: dict[int, bytes] = {}
        self._serving = 0
        self._rolled_back: set[int] = set()
        self.metrics: list[tuple[int, int, int, Mapping[str, float]]] = []
        self.quarantined: list[tuple[str, Ranges]] = []
        self.actions: list[tuple[int, int, int, Action]] = []
        self.notes: list[tuple[int, str, str, str]] = []

    @property
    def newest(self) -> int:
        """Number of the newest version."""
        return len(self._records)

    def serving(self) -> ModelRecord | None:
        """The version that serves: the newest one, unless another was promoted since."""
        if not self._serving:
            return None
        return replace(self._records[self._serving - 1], fallback=max(self._rolled_back, default=0) > self._serving)

    def get(self, version: int) -> ModelRecord:
        """One version."""
        if not 1 <= version <= len(self._records):
            raise ModelError(f"got model version {version}; expected 1 to {len(self._records)}")
        return self._records[version - 1]

    def load(self, record: ModelRecord) -> bytes:
        """Its weights."""
        return self._weights[record.version]

    def publish_first(self, weights: bytes) -> ModelRecord:
        """The first version, unless there is one."""
        return self.serving() or self.publish(weights, None, {})

    def publish(
        self, weights: bytes, parent: int | None, metrics: Mapping[str, float], newest: Newest = UNKNOWN
    ) -> ModelRecord:
        """The next version, which serves at once."""
        del newest
        version = self._serving = len(self._records) + 1
        record = ModelRecord(version, "", hashlib.sha256(weights).hexdigest(), parent, dict(metrics), "serving")
        self._records.append(record)
        self._weights[version] = weights
        return record

    def promote(self, version: int, who: str, why: str) -> ModelRecord:
        """It serves from now on."""
        self._serving = self.get(version).version
        self._rolled_back.discard(version)
        self.note(version, "serving", who, why)
        return self.get(version)

    def rollback(self, to: int | None, who: str, why: str) -> ModelRecord:
        """That version, or the one before, serves again."""
        self.note(self._serving, "rolled back", who, why)
        self._rolled_back.add(self._serving)
        return self.promote(self._serving - 1 if to is None else to, who, why)

    def note(self, version: int, standing: str, who: str, why: str) -> None:
        """Keep it."""
        self.notes.append((version, standing, who, why))

    def record_metrics(self, version: int, step: int, events: int, metrics: Mapping[str, float]) -> None:
        """Keep prequential metrics for the report."""
        self.metrics.append((version, step, events, dict(metrics)))

    def quarantine(self, reason: str, ranges: Ranges) -> None:
        """Keep refused batches for the report."""
        self.quarantined.append((reason, dict(ranges)))

    def record_action(self, version: int, step: int, events: int, action: Action) -> None:
        """Keep actions for the report."""
        self.actions.append((version, step, events, action))
