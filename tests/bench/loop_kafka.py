"""Baseline: a hand-written kafka-python loop with a running z-score and Holt's forecast, in plain Python.

Plain floats, since numpy costs a microsecond for each operation on six numbers.
"""

import math
from collections.abc import Sequence
from operator import attrgetter

from tests.bench.loop import Finding, Vitals, main
from tests.bench.stream import BAND_HIGH, SIGNALS

_RATE = 0.02
_LEVEL, _TREND = 0.3, 0.05
_THRESHOLD = 7.0
_WARM_UP = 50
_signals = attrgetter(*SIGNALS)


class _Entity:
    __slots__ = ("level", "seen", "trend", "variance")

    def __init__(self, values: Sequence[float]) -> None:
        self.seen = 0
        self.level, self.trend, self.variance = list(values), [0.0] * len(values), [1.0] * len(values)

    def judge(self, values: Sequence[float]) -> float:
        """Largest standardised error of Holt's forecast, which then learns the values."""
        level, trend, variance = self.level, self.trend, self.variance
        worst = 0.0
        for signal, value in enumerate(values):
            expected = level[signal] + trend[signal]
            error = value - expected
            square = error * error
            worst = max(worst, square / variance[signal])
            variance[signal] += _RATE * (square - variance[signal]) + 1e-12
            level[signal] = expected + _LEVEL * error
            trend[signal] += _LEVEL * _TREND * error
        self.seen += 1
        return math.sqrt(worst) if self.seen > _WARM_UP else 0.0


class ZScores:
    """State of all entities."""

    def __init__(self) -> None:
        self._entities: dict[str, _Entity] = {}

    def __call__(self, batch: Sequence[Vitals]) -> list[Finding]:
        """Judge a batch, row by row."""
        found, entities = [], self._entities
        for row, vitals in enumerate(batch):
            values = _signals(vitals)
            entity = entities.get(vitals.entity)
            if entity is None:
                entity = entities[vitals.entity] = _Entity(values)
            score = entity.judge(values)
            if vitals.hr > BAND_HIGH:
                found.append(Finding(row, "band", vitals.hr - BAND_HIGH))
            elif score > _THRESHOLD:
                found.append(Finding(row, "zscore", score))
        return found


if __name__ == "__main__":
    main(ZScores())
