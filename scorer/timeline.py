"""Where each partition stands in its own history: what is already in the ledger, and how it was scored when.

After a restart rows before the committed offset are replayed silently, by the model versions, and as strictly, as the
swap log says.
"""

from collections.abc import Mapping, Sequence
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

    def served(self, offset: Int64, version: int, strictness: Mapping[str, float]) -> tuple[Int64, dict[str, Float64]]:
        """Version and each task's strictness for each row: the swap log's as far as it goes, the current ones after.

        [N] -> [N], [N] a task.
        """
        known, place = [Swap(0, version, strictness)], np.zeros(len(offset), dtype=np.int64)
        replayed = offset < max(self.next_offset, self.logged)
        if self.swaps and replayed.any():
            starts = np.array([swap.offset for swap in self.swaps])
            known = [*self.swaps, *known]
            place = np.where(replayed, np.maximum(np.searchsorted(starts, offset, side="right") - 1, 0), len(starts))
        versions = np.array([each.version for each in known], dtype=np.int64)
        tasks = {task for each in known for task in each.strictness}
        moved = {task: np.array([each.strictness.get(task, 0.0) for each in known])[place] for task in tasks}
        return versions[place], moved


@dataclass(slots=True)
class Timelines:
    """The histories of the partitions owned here."""

    of: dict[Partition, Timeline] = field(default_factory=dict)

    def silent(self, batch: Batch) -> Bool:
        """Rows whose alerts are already in the ledger, [N]."""
        return batch.due_offset < self.starts(batch.partitions)[batch.partition]

    def served(self, batch: Batch, version: int, strictness: Mapping[str, float]) -> tuple[Int64, dict[str, Float64]]:
        """The model version that each row is scored with, and how strictly; the current ones where it is live. [N]."""
        versions, strictness_N = np.full(len(batch), version, dtype=np.int64), dict[str, Float64]()
        for index, partition in enumerate(batch.partitions):
            rows = batch.partition == index
            versions[rows], moved = self.of[partition].served(batch.due_offset[rows], version, strictness)
            for task, moved_n in moved.items():
                strictness_N.setdefault(task, np.zeros(len(batch)))[rows] = moved_n
        return versions, strictness_N

    def owned(self, batch: Batch) -> bool:
        """Are all partitions of the batch still ours?"""
        return all(partition in self.of for partition in batch.partitions)

    def starts(self, partitions: Sequence[Partition]) -> NDArray[np.int64]:
        """Of each partition the first offset that is not accounted for."""
        return np.array([self.of[partition].next_offset for partition in partitions], dtype=np.int64)
