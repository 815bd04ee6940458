"""Where each partition stands in its own history: what is already in the ledger, and how it was scored when.

After a restart rows before the committed offset are replayed silently, by the model versions, and as strictly, as the
swap log says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.observation import Batch, Bool, Float64, Int64, Partition
from schemas.protocols import Position, Swap


@dataclass(slots=True)
class Timeline:
    """One partition's history.

    `next_offset` is the first offset not accounted for; before it, and before `logged`, the swap log says how rows are
    scored.
    """

    next_offset: int
    swaps: list[Swap]
    logged: int = 0

    @classmethod
    def resume(cls, position: Position) -> "Timeline":
        """The history as the ledger tells it."""
        return cls(max(position.committed, 0), list(position.swaps), position.logged)

    def served(self, offset: Int64, version: int, strictness: float) -> tuple[Int64, Float64]:
        """Version and strictness for each row: the swap log's as far as it goes, the current ones from there on.

        [N] -> [N], [N].
        """
        now = Swap(0, version, strictness)
        replayed = offset < max(self.next_offset, self.logged)
        if not self.swaps or not replayed.any():
            return np.full(len(offset), version, dtype=np.int64), np.full(len(offset), strictness)
        starts = np.array([swap.offset for swap in self.swaps])
        place = np.where(replayed, np.maximum(np.searchsorted(starts, offset, side="right") - 1, 0), len(starts))
        known = [*self.swaps, now]
        versions = np.array([each.version for each in known], dtype=np.int64)
        return versions[place], np.array([each.strictness for each in known])[place]


@dataclass(slots=True)
class Timelines:
    """The histories of the partitions owned here."""

    of: dict[Partition, Timeline] = field(default_factory=dict)

    def silent(self, batch: Batch) -> Bool:
        """Rows whose alerts are already in the ledger, [N]."""
        return batch.due_offset < self.starts(batch.partitions)[batch.partition]

    def served(self, batch: Batch, version: int, strictness: float) -> tuple[Int64, Float64]:
        """The model version that each row is scored with, and how strictly; the current ones where it is live. [N]."""
        versions, strictness_N = np.full(len(batch), version, dtype=np.int64), np.full(len(batch), strictness)
        for index, partition in enumerate(batch.partitions):
            rows = batch.partition == index
            found = self.of[partition].served(batch.due_offset[rows], version, strictness)
            versions[rows], strictness_N[rows] = found
        return versions, strictness_N

    def owned(self, batch: Batch) -> bool:
        """Are all partitions of the batch still ours?"""
        return all(partition in self.of for partition in batch.partitions)

    def starts(self, partitions: Sequence[Partition]) -> NDArray[np.int64]:
        """Of each partition the first offset that is not accounted for."""
        return np.array([self.of[partition].next_offset for partition in partitions], dtype=np.int64)
