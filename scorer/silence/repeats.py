"""Rows that were there before: a buffer played again, with new times.

Each row is held against the entity's last rows, by a hash of its values. As many matches in a row at the same distance
as a block has rows are no chance, unless the entity's values are so coarse that they are usual. It is told by the
second such row, two periods, once some 200 rows have shown that none is usual of the entity, at first by the fifth.
Never before the fifth would have saved one false alarm in 30 days of crypto bars, one in 2,282 of NAB, and none on a
ward, ETT and 582 days of ICU stays.

n rows of distinct entities, S signals, D distances.
"""

import numpy as np

from schemas.observation import Bool, Field, Float64
from scorer.silence.usual import learn

_DISTANCES = 20
"""Rows of the longest block that is recognised."""
_LEAST, _TIMES, _USUAL = 2, np.float32(3.0), np.float32(5 / 3)
"""Rows that repeat others before it is told, how often the usual number, and what that is taken for at first."""
_MOST = 250
_ODD = np.random.default_rng(0xFEED).integers(0, 2**63, size=4096, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def initial() -> dict[str, Field]:
    """State of an entity never seen."""
    return {
        "hashes": np.zeros((1, _DISTANCES), dtype=np.uint32),
        "row": np.zeros((1,), dtype=np.int64),
        "matches": np.zeros((1, _DISTANCES), dtype=np.uint8),
        "usual_matches": np.full((1,), _USUAL, dtype=np.float32),
        "matched": np.zeros((1,), dtype=np.int16),
    }


def repeated(state: dict[str, Field], value_nS: Float64) -> Bool:
    """See the rows; which of them go on repeating others, [n]. Rows that are all the same are frozen, not repeated."""
    hash_n = _hash(value_nS)
    row_n = state["row"]
    place_nD = (row_n[:, None] - 1 - np.arange(_DISTANCES)) % _DISTANCES
    match_nD = np.take_along_axis(state["hashes"], place_nD, axis=1) == hash_n[:, None]
    before_n = state["matches"][:, 1:].max(axis=1)
    state["matches"] = np.where(match_nD, np.minimum(state["matches"], _MOST) + 1, 0).astype(np.uint8)
    now_n = state["matches"][:, 1:].max(axis=1)
    limit_n = np.maximum(state["usual_matches"] * _TIMES, np.float32(_LEAST))
    found_n: Bool = (now_n >= limit_n) & (state["matches"][:, 0] < now_n - 1)
    ended_n = (now_n <= before_n) & (before_n < limit_n)
    learn(state["usual_matches"], state["matched"], before_n.astype(np.float32), ended_n)
    np.put_along_axis(state["hashes"], (row_n % _DISTANCES)[:, None], hash_n[:, None], axis=1)
    state["row"] = row_n + 1
    return found_n


def _hash(value_nS: Float64) -> Field:
    """Never 0, which stands for no row."""
    bits = np.where(np.isnan(value_nS), np.nan, value_nS + 0.0).view(np.uint64)
    odd = _ODD[np.arange(value_nS.shape[1]) % len(_ODD)]
    with np.errstate(over="ignore"):
        mixed = ((bits ^ (bits >> np.uint64(29))) * odd).sum(axis=1, dtype=np.uint64)
    hash_n: Field = (mixed >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
    return hash_n
