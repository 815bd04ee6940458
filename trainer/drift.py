"""Drift detectors: told one number after another, they say when its mean has changed. Bounded memory, no randomness.

After an alarm a detector starts over: what came before it is no longer what is expected.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

_BUCKETS = 5
"""Buckets of one size that ADWIN keeps, M of the paper: more see finer cuts, and cost more."""
_SHORTEST = 5
"""Values on each side of a cut."""


class Detector(Protocol):
    """Sees a stream of numbers."""

    def update(self, value: float) -> bool:
        """Take the next value in: has the mean changed?"""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What is remembered."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what another one did."""
        ...


class PageHinkley:
    """The mean has risen (Page, 1954; Hinkley, 1971): values summed above their own mean, against the sum's lowest.

    Args:
        slack: how far above the mean a value may lie and not count.
        threshold: the sum that is an alarm.
        least: values before the first alarm.
    """

    def __init__(self, slack: float, threshold: float, least: int = 30) -> None:
        self._slack, self._threshold, self._least = slack, threshold, least
        self._count, self._mean, self._sum, self._lowest = 0, 0.0, 0.0, math.inf

    def update(self, value: float) -> bool:
        """Take the next value in: has the mean risen?"""
        self._count += 1
        self._mean += (value - self._mean) / self._count
        self._sum += value - self._mean - self._slack
        self._lowest = min(self._lowest, self._sum)
        risen = self._count >= self._least and self._sum - self._lowest > self._threshold
        if risen:
            self._start()
        return risen

    def state_dict(self) -> dict[str, Any]:
        """What is remembered."""
        return {"count": self._count, "mean": self._mean, "sum": self._sum, "lowest": self._lowest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what another one did."""
        self._count, self._mean, self._sum, self._lowest = (state[name] for name in ("count", "mean", "sum", "lowest"))

    def _start(self) -> None:
        self._count, self._mean, self._sum, self._lowest = 0, 0.0, 0.0, math.inf


class Adwin:
    """The mean has changed either way: adaptive windowing (Bifet and Gavalda, 2007, ADWIN2).

    The window is kept as sums over buckets that double in size, so that n values take O(log n): an alarm is a place at
    which the means of its two parts are too different for one distribution.

    Args:
        confidence: the paper's delta, the chance of a false alarm that each look is allowed.
        clock: values between two looks.
        least: values before the first look.
    """

    def __init__(self, confidence: float, clock: int = 1, least: int = 10) -> None:
        self._confidence, self._clock, self._least = confidence, clock, least
        self._ticks, self._width, self._total, self._deviation = 0, 0, 0.0, 0.0
        self._rows: list[list[float]] = [[]]

    def update(self, value: float) -> bool:
        """Take the next value in: has the mean changed?"""
        self._ticks += 1
        self._insert(value)
        if self._ticks % self._clock or self._width <= self._least or not self._cut():
            return False
        self._start()
        return True

    def state_dict(self) -> dict[str, Any]:
        """What is remembered."""
        moments = {"ticks": self._ticks, "width": self._width, "total": self._total, "deviation": self._deviation}
        return moments | {"rows": [list(row) for row in self._rows]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what another one did."""
        self._ticks, self._width = state["ticks"], state["width"]
        self._total, self._deviation = state["total"], state["deviation"]
        self._rows = [list(row) for row in state["rows"]]

    def _start(self) -> None:
        self._ticks, self._width, self._total, self._deviation = 0, 0, 0.0, 0.0
        self._rows = [[]]

    def _insert(self, value: float) -> None:
        if self._width:
            self._deviation += self._width * (value - self._total / self._width) ** 2 / (self._width + 1)
        self._width += 1
        self._total += value
        self._rows[0].append(value)
        for place, row in enumerate(self._rows):
            if len(row) <= _BUCKETS:
                return
            if place + 1 == len(self._rows):
                self._rows.append([])
            self._rows[place + 1].append(row.pop(0) + row.pop(0))

    def _cut(self) -> bool:
        """Is there a place, from the oldest on, at which the means on both sides differ too much?"""
        variance = self._deviation / self._width
        certainty = math.log(2.0 * math.log(self._width) / self._confidence)
        old, old_total = 0, 0.0
        for place in range(len(self._rows) - 1, -1, -1):
            for total in self._rows[place]:
                old, old_total = old + 2**place, old_total + total
                new = self._width - old
                if new < _SHORTEST:
                    return False
                if old >= _SHORTEST:
                    inverse = 1.0 / (old - _SHORTEST + 1.0) + 1.0 / (new - _SHORTEST + 1.0)
                    bound = math.sqrt(2.0 * inverse * variance * certainty) + 2.0 / 3.0 * certainty * inverse
                    if abs(old_total / old - (self._total - old_total) / new) > bound:
                        return True
        return False


DETECTORS: Mapping[str, Callable[[float], Detector]] = {
    "page-hinkley": lambda threshold: PageHinkley(slack=0.5, threshold=threshold, least=1),
    "adwin": lambda threshold: Adwin(confidence=math.exp(-threshold)),
}
"""`training.drift.detector` -> the detector of standardised values, the surer the higher its threshold."""
