"""The gate: a candidate serves only after it proved itself on the very windows it had not yet learned.

W windows, K tasks.
"""

from dataclasses import dataclass

import numpy as np

from schemas.observation import Bool, Float64

TOLERANCE = 0.01
"""How much worse a task may look, in standardised loss (1 = knowing nothing): below it is noise, not harm."""
_LEAST_PAIRS = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """Paired differences, candidate minus serving, per task: mean and standard error; NaN where never judged."""

    difference_K: Float64
    error_K: Float64

    @property
    def proved(self) -> bool:
        """Better on a task and inferior on none, each with one standard error to spare (one-sided, 84 %)."""
        judged_K: Bool = ~np.isnan(self.error_K)
        upper_K = (self.difference_K + self.error_K)[judged_K]
        return bool((upper_K <= TOLERANCE).all() and (upper_K < 0.0).any())


class Gate:
    """Keeps the last `windows` paired losses."""

    def __init__(self, tasks: int, windows: int) -> None:
        self._windows = windows
        self._pairs_WK: Float64 = np.empty((0, tasks))

    def add(self, candidate_WK: Float64, serving_WK: Float64) -> None:
        """Losses of both versions on the same windows, before the candidate learned them. NaN = not judged."""
        self._pairs_WK = np.concatenate([self._pairs_WK, candidate_WK - serving_WK])[-self._windows :]

    def ready(self) -> bool:
        """Are there enough windows for a verdict?"""
        return len(self._pairs_WK) >= self._windows

    def verdict(self) -> Verdict:
        """What the pairs say so far."""
        count_K = (~np.isnan(self._pairs_WK)).sum(axis=0)
        enough_K = count_K >= _LEAST_PAIRS
        filled_WK = np.where(np.isnan(self._pairs_WK), 0.0, self._pairs_WK)
        mean_K = filled_WK.sum(axis=0) / np.maximum(count_K, 1)
        squares_K = np.where(np.isnan(self._pairs_WK), 0.0, (filled_WK - mean_K) ** 2).sum(axis=0)
        error_K = np.sqrt(squares_K / np.maximum(count_K - 1, 1) / np.maximum(count_K, 1))
        return Verdict(np.where(enough_K, mean_K, np.nan), np.where(enough_K, error_K, np.nan))

    def clear(self) -> None:
        """Start over: another version serves."""
        self._pairs_WK = self._pairs_WK[:0]
