"""What drift is looked for in: each task's loss, and, for want of labels, the representation.

D width.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from schemas.components import DriftSettings
from trainer.drift import DETECTORS

_MEMORY = 64.0
"""Steps that a mean and a spread remember."""
_FARTHEST = 4.0
"""Deviations that one step counts as at most: one wild step is no drift."""
_MOVES = 2.0
"""Deviations by which one step moves mean and spread at most, or they would run after the drift they shall show."""
_LEAST = 20
"""Steps before those are known."""
_NARROWEST = 0.01
"""Of the mean, what a spread counts as at least: a number that stood still may stir."""


class Level:
    """A number's running mean and spread, and whether it leaves them.

    Args:
        settings: the detector, which sees the number in deviations from its mean.
    """

    def __init__(self, settings: DriftSettings) -> None:
        self._detector = DETECTORS[settings.detector](settings.threshold)
        self._count, self.mean, self._variance = 0, 0.0, 0.0

    def update(self, value: float) -> float | None:
        """Take the next one in. Returns the mean that it left, once it is sure that it did; else None."""
        before, deviation = self.mean, value - self.mean
        if self._count >= _LEAST:
            spread = max(math.sqrt(self._variance), _NARROWEST * abs(before), 1e-12)
            if self._detector.update(max(-_FARTHEST, min(_FARTHEST, deviation / spread))) and value > before:
                self._start()
                return before
            deviation = max(-_MOVES * spread, min(_MOVES * spread, deviation))
        self._count += 1
        rate = max(1.0 / self._count, 1.0 / _MEMORY)
        self.mean += rate * deviation
        self._variance = (1.0 - rate) * (self._variance + rate * deviation * deviation)
        return None

    def state_dict(self) -> dict[str, Any]:
        """What is remembered."""
        moments = {"count": self._count, "mean": self.mean, "variance": self._variance}
        return moments | {"detector": self._detector.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what another one did; a detector of another kind begins anew."""
        self._count, self.mean, self._variance = state["count"], state["mean"], state["variance"]
        if state["detector"].keys() == self._detector.state_dict().keys():
            self._detector.load_state_dict(state["detector"])

    def _start(self) -> None:
        self._count, self.mean, self._variance = 0, 0.0, 0.0


class Place:
    """Where the mean of a step's representations lies among those of the steps before."""

    def __init__(self, width: int) -> None:
        self._count = 0
        self._mean_D = torch.zeros(width, dtype=torch.float64)
        self._variance_D = torch.zeros(width, dtype=torch.float64)

    def distance(self, place_D: Tensor) -> float | None:
        """Of the next one from their mean, in their deviations: about 1 where nothing changes; it is then one of them.

        None of the first ones.

        Args:
            place_D: the step's mean.
        """
        deviation_D = place_D.double() - self._mean_D
        found = None
        if self._count >= _LEAST:
            spread_D = (self._variance_D + self._variance_D.mean() * 1e-3 + 1e-12).sqrt()
            found = min(float((deviation_D / spread_D).square().mean().sqrt()), 1e3)
            deviation_D = deviation_D.clamp(-_MOVES * spread_D, _MOVES * spread_D)
        self._count += 1
        rate = max(1.0 / self._count, 1.0 / _MEMORY)
        self._mean_D += rate * deviation_D
        self._variance_D = (1.0 - rate) * (self._variance_D + rate * deviation_D.square())
        return found

    def state_dict(self) -> dict[str, Any]:
        """What is remembered."""
        return {"count": self._count, "mean": self._mean_D.clone(), "variance": self._variance_D.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what another one did."""
        self._count, self._mean_D, self._variance_D = state["count"], state["mean"].clone(), state["variance"].clone()
