"""Forecast bands that hold as often as they claim, whatever the network claims: adaptive conformal inference.

Each side of a band is as wide as the network's times a factor of its own, which grows when a value falls beyond the
side and shrinks when it does not (Gibbs and Candes, 2021, equation 2), here in its logarithm, so that a step means the
same at every width (Angelopoulos, Candes and Tibshirani, 2023, "Conformal PID control", section 2.1). A young stream's
steps are longer (Angelopoulos, Barber and Bates, 2024, "Online conformal prediction with decaying step sizes"). Of T
values at the settled step, the share beyond a side is within (2 log `_WIDEST` + `_STEP`) / (`_STEP` T) of what it
claims, as long as a factor within `_WIDEST` is enough.

E packed entities, S target signals, Q quantiles; the last axis is the lower and the upper side.
"""

from collections.abc import Sequence

import numpy as np

from schemas.observation import Bool, Float64
from schemas.prediction import Float32

SIDES = 2
_STEP = np.float32(0.03)
_EARLY, _SETTLING = np.float32(3.0), np.float32(10.0)
"""The step after n values is `_EARLY` / (`_SETTLING` + n) at least."""
_WIDEST = 50.0
_REACH = np.float32(np.log(_WIDEST))


class Bands:
    """The bands of one task's quantiles.

    Args:
        quantiles: rising, 0.5 among them.
    """

    def __init__(self, quantiles: Sequence[float]) -> None:
        self._median = quantiles.index(0.5)
        self._beyond = np.array([quantiles[0], 1.0 - quantiles[-1]], dtype=np.float32)
        self._side = (np.arange(len(quantiles)) > self._median).astype(np.int64)

    def learn(self, width_ES2: Float32, bound_ES2: Float32, came_ES: Float32, told_ES: Bool, count_ES: Float32) -> None:
        """The logarithms of both widths, in place.

        Args:
            width_ES2: those.
            bound_ES2: `bounds` of the forecast of what came. Where they are equal there was no band, and nothing is
                learned: a forecast without a network has none.
            came_ES: in their unit.
            told_ES: something came.
            count_ES: values before.
        """
        there_ES = told_ES & (bound_ES2[..., 0] < bound_ES2[..., 1])
        beyond_ES2 = np.stack([came_ES < bound_ES2[..., 0], came_ES > bound_ES2[..., 1]], axis=-1)
        step_ES = np.maximum(_STEP, _EARLY / (count_ES + _SETTLING))
        width_ES2 += (step_ES * there_ES)[..., None] * (beyond_ES2 - self._beyond)
        np.clip(width_ES2, -_REACH, _REACH, out=width_ES2)

    def widen(self, quantile_ESQ: Float64, width_ES2: Float32) -> None:
        """Quantiles around their median, in place."""
        median_ES1 = quantile_ESQ[..., self._median, None].copy()
        quantile_ESQ -= median_ES1
        quantile_ESQ *= np.exp(width_ES2)[..., self._side]
        quantile_ESQ += median_ES1

    def bounds(self, quantile_ESQ: Float64, last_ES: Float64) -> Float32:
        """Outermost quantiles minus the last value."""
        outer_ES2: Float32 = (quantile_ESQ[..., [0, -1]] - last_ES[..., None]).astype(np.float32)
        return outer_ES2
