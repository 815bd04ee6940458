"""Which rows count: exact duplicates, late rows and conflicting values, judged per entity in arrival order.

A row older than the entity's newest is late. Same time again: signals already held with the same value are
duplicates; with another value the last wins, or the first, as configured. A redelivered older row is told from a
late one by the hashes of the entity's last rows, kept as state so that a restart does not forget them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.monitor import Conflicts
from schemas.observation import Bool, Field, Float64, Int64, Status

_REMEMBERED = 8
"""Rows an entity's redelivery is recognised within: a producer's retry repeats the newest few."""
_NEVER = np.iinfo(np.int64).min
UInt64 = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Admitted:
    """What became of rows.

    Attributes:
        status: per row, [N].
        values: with duplicate or refused signals masked, [N, S].
        rows_seen: rows the entity had shown before, [N].
        refused: a signal was refused because the first value wins, [N].
        replaced: a signal had another value at that time already, and the last wins, [N].
    """

    status: NDArray[np.uint8]
    values: Float64
    rows_seen: Int64
    refused: Bool
    replaced: Bool


class Admission:
    """Judges rows against per-entity state (fields prefixed ``admission.``)."""

    def __init__(self, n_signals: int, conflicts: Conflicts) -> None:
        self._n_signals = n_signals
        self._first_wins = conflicts is Conflicts.FIRST_WINS
        rng = np.random.default_rng(0x5EED)
        self._odd = rng.integers(0, 2**63, size=n_signals, dtype=np.uint64) * np.uint64(2) + np.uint64(1)

    def initial(self) -> dict[str, Field]:
        """State of an entity never seen."""
        return {
            "admission.newest_ms": np.full((1,), _NEVER, dtype=np.int64),
            "admission.rows": np.zeros((1,), dtype=np.int64),
            "admission.hashes": np.zeros((1, _REMEMBERED), dtype=np.uint64),
            "admission.held": np.full((1, self._n_signals), np.nan, dtype=np.float64),
        }

    def admit(
        self,
        waves: list[NDArray[np.int64]],
        entity: Int64,
        time_ms: Int64,
        values: Float64,
        status: NDArray[np.uint8],
        state: dict[str, Field],
    ) -> Admitted:
        """Judge rows wave by wave; `state` [E, ...] is updated in place.

        Args:
            waves: row indices, each wave's of distinct entities.
            entity: index into the state, [N].
            time_ms: event time, [N].
            values: raw, NaN = missing, [N, S].
            status: OK or INVALID, [N].
            state: this class's fields.
        """
        status, values = status.copy(), values.copy()
        rows_seen = np.zeros(len(entity), dtype=np.int64)
        conflict = np.zeros(len(entity), dtype=np.bool_)
        hashes = self._hash(time_ms, values)
        for wave in waves:
            rows = wave[status[wave] == Status.OK]
            self._judge(rows, entity[rows], time_ms[rows], hashes[rows], values, status, conflict, state)
            rows_seen[wave] = state["admission.rows"][entity[wave]]
            self._remember(rows[status[rows] == Status.OK], entity, time_ms, hashes, values, state)
        nobody = np.zeros_like(conflict)
        refused, replaced = (conflict, nobody) if self._first_wins else (nobody, conflict)
        return Admitted(status, values, rows_seen, refused, replaced)

    def _judge(
        self,
        rows: Int64,
        entity: Int64,
        time_ms: Int64,
        hashes: UInt64,
        values: Float64,
        status: NDArray[np.uint8],
        conflict: Bool,
        state: dict[str, Field],
    ) -> None:
        newest = state["admission.newest_ms"][entity]
        old = time_ms <= newest
        if not old.any():
            return
        redelivered = old & (state["admission.hashes"][entity] == hashes[:, None]).any(axis=1)
        status[rows[redelivered]] = Status.DUPLICATE
        status[rows[(time_ms < newest) & ~redelivered]] = Status.LATE
        again = (time_ms == newest) & ~redelivered
        if again.any():
            self._merge(rows[again], entity[again], values, status, conflict, state)

    def _merge(
        self,
        rows: Int64,
        entity: Int64,
        values: Float64,
        status: NDArray[np.uint8],
        conflict: Bool,
        state: dict[str, Field],
    ) -> None:
        held = state["admission.held"][entity]
        seen = values[rows]
        equal = seen == held
        differs = ~np.isnan(held) & ~np.isnan(seen) & ~equal
        values[rows] = np.where(equal | (differs & self._first_wins), np.nan, seen)
        conflict[rows] = differs.any(axis=1)
        status[rows[np.isnan(values[rows]).all(axis=1)]] = Status.DUPLICATE

    def _remember(
        self,
        rows: Int64,
        entity: Int64,
        time_ms: Int64,
        hashes: UInt64,
        values: Float64,
        state: dict[str, Field],
    ) -> None:
        whose = entity[rows]
        seen = values[rows]
        same_time = (state["admission.newest_ms"][whose] == time_ms[rows])[:, None]
        held = np.where(same_time, state["admission.held"][whose], np.nan)
        state["admission.held"][whose] = np.where(np.isnan(seen), held, seen)
        state["admission.newest_ms"][whose] = time_ms[rows]
        slot = (state["admission.rows"][whose] % _REMEMBERED).astype(np.int64)
        state["admission.hashes"][whose, slot] = hashes[rows]
        state["admission.rows"][whose] += 1

    def _hash(self, time_ms: Int64, values: Float64) -> UInt64:
        bits = np.where(np.isnan(values), np.nan, values + 0.0).view(np.uint64)  # one NaN, and no negative zero
        with np.errstate(over="ignore"):
            mixed = ((bits ^ (bits >> np.uint64(29))) * self._odd).sum(axis=1, dtype=np.uint64)
            hashed: UInt64 = mixed ^ (time_ms.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
        return hashed
