"""Values that nothing measures: whatever row holds one is never learned.

N rows, S signals.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from schemas.observation import Batch, Partition, Status

LARGEST = float(np.sqrt(np.finfo(np.float32).max))
"""About 1.8e19: what is larger has no square in the numbers that a network calculates with."""


def without_absurd(batch: Batch) -> tuple[Batch, Mapping[Partition, tuple[int, int]]]:
    """The batch with absurd rows marked invalid, and where they came from: offsets, [first, next)."""
    absurd_N = (np.abs(batch.values) > LARGEST).any(axis=1) & (batch.status == Status.OK)
    if not absurd_N.any():
        return batch, {}
    ranges = {}
    for place in np.unique(batch.partition[absurd_N]).tolist():
        offsets = batch.offset[absurd_N & (batch.partition == place)]
        ranges[batch.partitions[place]] = (int(offsets.min()), int(offsets.max()) + 1)
    status = np.where(absurd_N, Status.INVALID, batch.status).astype(batch.status.dtype)
    return replace(batch, status=status), ranges
