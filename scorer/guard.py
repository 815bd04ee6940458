"""The guard at serving: what leaves never contradicts what is known, whoever made it, and how often it would have.

Forecasts of ordered signals are replaced, quantile by quantile, by the middle between the smallest ordered forecasts
above them and the largest below (isotonic regression in the maximum norm: Ubhaya, 1974); ordered ones stay as they
are, bit for bit. Clamping and this keep quantiles from crossing: both move larger values to larger ones.

N rows, S signals that are forecast, H horizons, Q quantiles, C classes.
"""

from dataclasses import dataclass

import numpy as np

from schemas.layout import Layout
from schemas.observation import Bool, Float64
from schemas.prediction import Float32
from trainer.known import Drawn, bounds_of, drawn_of, pairs_of


@dataclass(frozen=True, slots=True)
class Guarded:
    """Forecasts as they leave, and the rows in which each kind of knowledge moved one, [N]."""

    forecast: Float64
    moved: dict[str, Bool]


class Guard:
    """Of one layout.

    Args:
        layout: the signals and what is known of them.
    """

    def __init__(self, layout: Layout) -> None:
        knowledge = layout.monitor.knowledge
        self._bounds = bounds_of(layout) if knowledge.bounds else None
        pairs = pairs_of(layout)
        ordered = sorted({column for pair in pairs for column in pair})
        self._below = {column: [low for low, high in pairs if high == column] for column in ordered}
        self._above = {column: [high for low, high in pairs if low == column] for column in ordered}
        self._drawn = drawn_of(layout)
        self._median = layout.forecast.quantiles.index(0.5)

    def forecasts(self, forecast: Float64) -> Guarded:
        """Guard quantiles in raw units, [N, S, H, Q], NaN = none; or the medians alone, Q = 1."""
        moved = {}
        if self._below:
            forecast, moved["order"] = _compared(forecast, self._in_order(forecast))
        if self._bounds is not None:
            low, high = (side[:, None, None] for side in (self._bounds.low_S, self._bounds.high_S))
            forecast, moved["bounds"] = _compared(forecast, np.clip(forecast, low, high))
        if self._drawn:
            forecast, moved["implication"] = _compared(forecast, self._concluded(forecast))
        return Guarded(forecast, moved)

    @staticmethod
    def state(probability_NC: Float32, floor_NC: Float32) -> tuple[Float32, Bool]:
        """Probabilities of which "at least so bad" is nowhere below its floor, and the rows that had to be moved."""
        tail_NC = np.cumsum(probability_NC[:, ::-1], axis=1)[:, ::-1]
        low_N: Bool = np.any(tail_NC[:, 1:] < floor_NC[:, 1:], axis=1)
        raised_NC = np.maximum(tail_NC, floor_NC)
        raised_NC[:, 0] = 1.0
        apart_NC = raised_NC - np.pad(raised_NC[:, 1:], ((0, 0), (0, 1)))
        return np.where(low_N[:, None], np.maximum(apart_NC, 0.0), probability_NC), low_N

    def _in_order(self, forecast: Float64) -> Float64:
        ordered = forecast.copy()
        for column, below in self._below.items():
            own = forecast[:, column]
            highest, lowest = own, own
            for other in below:
                highest = np.fmax(highest, forecast[:, other])
            for other in self._above[column]:
                lowest = np.fmin(lowest, forecast[:, other])
            ordered[:, column] = np.where(np.isnan(own), own, 0.5 * highest + 0.5 * lowest)
        return ordered

    def _concluded(self, forecast: Float64) -> Float64:
        concluded = forecast.copy()
        median = self._median if forecast.shape[-1] > 1 else 0
        for each in self._drawn:
            holds = _holds(each, forecast[:, each.when, :, median])[..., None]
            then = concluded[:, each.then]
            concluded[:, each.then] = np.where(holds, np.clip(then, each.low, each.high), then)
        return concluded


def _holds(each: Drawn, median_NH: Float64) -> Bool:
    held: Bool = each.sign * median_NH > each.sign * each.threshold
    return held


def _compared(before: Float64, after: Float64) -> tuple[Float64, Bool]:
    """After, and the rows in which it differs."""
    differs_N: Bool = ((before != after) & ~np.isnan(before)).any(axis=(1, 2, 3))
    return after, differs_N
