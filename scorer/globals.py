"""The stream-table join: what was known of the world (macro figures, an index) when a row happened.

A value counts from the time it was known, not from the time it describes, and is masked beyond its age limit.
"""

from collections.abc import Sequence

import numpy as np

from schemas.layout import Layout
from schemas.modality import Scope
from schemas.observation import Float64, GlobalRow, Int64


class GlobalTable:
    """Every global value known so far, by signal and known-at time."""

    def __init__(self, layout: Layout) -> None:
        self._columns = layout.columns(Scope.GLOBAL)
        ages = [layout.monitor.modalities[layout.modality_of[column]].max_age for column in self._columns]
        self._max_age_ms = [None if age is None else int(age.total_seconds() * 1000) for age in ages]
        self._known: dict[int, dict[int, float]] = {column: {} for column in self._columns}
        self._sorted: dict[int, tuple[Int64, Float64]] = {}

    def add(self, rows: Sequence[GlobalRow]) -> None:
        """Remember; a second value with the same known-at time replaces the first."""
        for row in rows:
            self._known[row.signal][row.known_ms] = row.value
            self._sorted.pop(row.signal, None)

    def join(self, time_ms: Int64, values: Float64) -> Float64:
        """Fill the global columns of `values` [N, S] as of `time_ms` [N]; a copy is returned.

        A column nothing is known of stays as it came: a backtest's wide rows carry their own.
        """
        if not self._columns:
            return values
        joined = values.copy()
        for column, max_age in zip(self._columns, self._max_age_ms, strict=True):
            if self._known[column]:
                joined[:, column] = self._as_of(column, time_ms, max_age)
        return joined

    def _as_of(self, column: int, time_ms: Int64, max_age_ms: int | None) -> Float64:
        known_ms, value = self._ordered(column)
        index = np.searchsorted(known_ms, time_ms, side="right") - 1
        usable = index >= 0
        index = np.maximum(index, 0)
        if max_age_ms is not None:
            usable &= time_ms - known_ms[index] <= max_age_ms
        return np.where(usable, value[index], np.nan)

    def _ordered(self, column: int) -> tuple[Int64, Float64]:
        if column not in self._sorted:
            known = sorted(self._known[column].items())
            times = np.array([time for time, _ in known], dtype=np.int64)
            self._sorted[column] = times, np.array([value for _, value in known], dtype=np.float64)
        return self._sorted[column]
