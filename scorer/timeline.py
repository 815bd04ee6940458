"""Where each partition stands in its own history: what is already in the ledger, and which version served when.

After a restart rows before the committed offset are replayed silently, by the model versions the swap log names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.observation import Batch, Bool, Int64, Partition
from schemas.protocols import Position


@dataclass(slots=True)
class Timeline:
    """One partition's history.

    `next_offset` is the first offset not accounted for; before it, and before `logged`, the swap log says which version
    scores.
    """

    next_offset: int
    swaps: list[tuple[int, int]]
    logged: int = 0

    @classmethod
    def resume(cls, position: Position) -> "Timeline":
        """The history as the ledger tells it."""
        return cls(max(position.committed, 0), list(position.swaps), position.logged)

    def served(self, offset: Int64, version: int) -> Int64:
        """Version for each row: the swap log's as far as it goes, `version` from there on. [N] -> [N]."""
        replayed = offset < max(self.next_offset, self.logged)
        if not self.swaps or not replayed.any():
            return np.full(len(offset), version, dtype=np.int64)
        starts = np.array([start for start, _ in self.swaps])
        versions = np.array([served for _, served in self.swaps], dtype=np.int64)
        logged = versions[np.maximum(np.searchsorted(starts, offset, side="right") - 1, 0)]
        return np.where(replayed, logged, version)


@dataclass(slots=True)
class Timelines:
    """The histories of the partitions owned here."""

    of: dict[Partition, Timeline] = field(default_factory=dict)

    def silent(self, batch: Batch) -> Bool:
        """Rows whose alerts are already in the ledger, [N]."""
        return batch.due_offset < self.starts(batch.partitions)[batch.partition]

    def versions(self, batch: Batch, current: int) -> Int64:
        """The model version that each row is scored with, [N]."""
        versions = np.full(len(batch), current, dtype=np.int64)
        for index, partition in enumerate(batch.partitions):
            rows = batch.partition == index
            versions[rows] = self.of[partition].served(batch.due_offset[rows], current)
        return versions

    def owned(self, batch: Batch) -> bool:
        """Are all partitions of the batch still ours?"""
        return all(partition in self.of for partition in batch.partitions)

    def starts(self, partitions: Sequence[Partition]) -> NDArray[np.int64]:
        """Of each partition the first offset that is not accounted for."""
        return np.array([self.of[partition].next_offset for partition in partitions], dtype=np.int64)
