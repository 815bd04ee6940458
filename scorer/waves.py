"""Waves: row indices grouped so that an entity appears once in each, in arrival order."""

import numpy as np
from numpy.typing import NDArray

from schemas.observation import Int64


def waves_of(entity: Int64) -> list[NDArray[np.int64]]:
    """Wave w holds the w-th row of each entity that has one. [N] entity indices -> list of ascending row indices."""
    order = np.argsort(entity, kind="stable")
    ordered = entity[order]
    first = np.ones(len(entity), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    starts = np.maximum.accumulate(np.where(first, np.arange(len(entity)), 0))
    rank = np.empty(len(entity), dtype=np.int64)
    rank[order] = np.arange(len(entity)) - starts
    by_rank = np.argsort(rank, kind="stable")
    cuts = np.flatnonzero(np.diff(rank[by_rank])) + 1
    return [np.sort(rows) for rows in np.split(by_rank, cuts)] if len(entity) else []
