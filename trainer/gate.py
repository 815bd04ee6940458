"""The gate: a candidate serves only after it proved itself on the very windows it had not yet learned.

W windows, K tasks.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.observation import Float64

TOLERANCE = 0.01
"""How much worse a task may look, in standardised loss (1 = knowing nothing): below it is noise, not harm."""
_LEAST_PAIRS = 32
"""Fewer say nothing of a task: stay-level labels are few, and must not hold back what the others have learned."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Paired differences, candidate minus serving, per task: mean and standard error; NaN where never judged."""

    difference_K: Float64
    error_K: Float64

    def better(self, tasks: Sequence[int]) -> bool:
        """Better on one of these tasks and inferior on none, each with one standard error to spare (84 %)."""
        upper_J = (self.difference_K + self.error_K)[list(tasks)]
        return bool((upper_J < 0.0).any()) and not any(map(self.inferior, tasks))

    def inferior(self, task: int) -> bool:
        """May it be worse by more than is tolerated? Of what was never judged nothing is said."""
        return bool(self.difference_K[task] + self.error_K[task] > TOLERANCE)

    @property
    def proved(self) -> bool:
        """The same of all tasks together."""
        return self.better(range(len(self.error_K)))


class Gate:
    """Keeps each task's last `windows` paired losses: a task that is seldom judged has its own, older ones.

    Fewer than `least` pairs say nothing of a task.
    """

    def __init__(self, tasks: int, windows: int, least: int = _LEAST_PAIRS) -> None:
        self._windows, self._least = windows, min(least, windows)
        self._pairs: list[deque[float]] = [deque(maxlen=windows) for _ in range(tasks)]
        self.waited = 0
        """Windows that were judged since it began."""

    def add(self, candidate_WK: Float64, serving_WK: Float64) -> None:
        """Losses of both versions on the same windows, before the candidate learned them. NaN = not judged."""
        self.waited += len(candidate_WK)
        for pairs, difference_W in zip(self._pairs, (candidate_WK - serving_WK).T, strict=True):
            pairs.extend(difference_W[~np.isnan(difference_W)].tolist())

    def ready(self, tasks: Sequence[int] | None = None) -> bool:
        """Is there one of these tasks (None: of all) with enough windows for a verdict?"""
        asked = self._pairs if tasks is None else [self._pairs[task] for task in tasks]
        return any(len(pairs) == self._windows for pairs in asked)

    def verdict(self) -> Verdict:
        """What the pairs say so far."""
        found = [_mean_and_error(pairs) if len(pairs) >= self._least else (np.nan, np.nan) for pairs in self._pairs]
        difference_K, error_K = np.array(found).T
        return Verdict(difference_K, error_K)

    def state_dict(self) -> dict[str, Any]:
        """The pairs, and how long it has waited."""
        return {"pairs": [list(pairs) for pairs in self._pairs], "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with those of another one."""
        self._pairs = [deque(pairs, maxlen=self._windows) for pairs in state["pairs"]]
        self.waited = state.get("waited", 0)

    def clear(self, tasks: Sequence[int] | None = None) -> None:
        """Start over with these tasks (None: all): another version answers them."""
        for task in range(len(self._pairs)) if tasks is None else tasks:
            self._pairs[task].clear()
        self.waited = 0


def _mean_and_error(pairs: deque[float]) -> tuple[float, float]:
    return float(np.mean(pairs)), float(np.std(pairs, ddof=1) / np.sqrt(len(pairs)))
