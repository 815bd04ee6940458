"""How much of what serves is the fast head's: the mean of two forecasts whose delayed squared error is the least.

Bates and Granger (1969), The combination of forecasts: with d what one forecast says beyond the other and y how far the
truth is from the other, the best share of the one is E[d y] / E[d^2]. Both are running means, in units of the other's
error, so that a wild hour counts like a quiet one. To choose the better one would need a margin against luck, and pay
for it all the time.

E packed entities, S target signals.
"""

import numpy as np

from schemas.observation import Bool
from schemas.prediction import Float32

FAST, SLOW = range(2)
"""Of what both said: the fast head's, and the network's."""
MOMENTS = 2
_CROSS, _APART = range(MOMENTS)
_SPAN, _LONGEST_SPAN = 150.0, 300.0
"""Values that errors and moments are averaged over: one row ahead, and from four on, where errors overlap."""
_DOUBT = 30.0
"""Values that the network's forecast counts as, so that a short stream's luck decides little."""
_REACH = 8.0
"""Mean absolute errors of the network that one value counts as at most."""
_TINY = np.float32(1e-30)


def share(count_ES: Float32, moment_ES2: Float32) -> Float32:
    """Of what serves that is the fast head's, 0 to 1, less while values are few.

    Args:
        count_ES: values that have come.
        moment_ES2: state, as `weigh` left it.
    """
    best_ES = np.clip(moment_ES2[..., _CROSS] / np.maximum(moment_ES2[..., _APART], _TINY), 0.0, 1.0)
    found: Float32 = best_ES * count_ES / (count_ES + np.float32(_DOUBT))
    return found


def weigh(moment_ES2: Float32, slow_ES: Float32, came_ES: Float32, said_ES2: Float32, rate_ES: Float32) -> None:
    """Learn from one value; `moment_ES2` is changed in place.

    Args:
        moment_ES2: state, zeros at first.
        slow_ES: mean absolute error of the network so far.
        came_ES: the value, beyond that which stood when both forecast it.
        said_ES2: what fast head and network had said of it, likewise.
        rate_ES: what this value counts for, see `rate`.
    """
    unit_ES = np.where(slow_ES > 0, slow_ES, np.float32(np.inf))
    from_slow_ES2 = np.stack([came_ES, said_ES2[..., FAST]], axis=-1) - said_ES2[..., SLOW, None]
    truth_ES, fast_ES = np.moveaxis(np.clip(from_slow_ES2 / unit_ES[..., None], -_REACH, _REACH), -1, 0)
    new_ES2 = np.stack([truth_ES * fast_ES, np.square(fast_ES)], axis=-1)
    moment_ES2 += rate_ES[..., None] * (new_ES2 - moment_ES2)


def rate(told_ES: Bool, count_ES: Float32, ahead: int) -> Float32:
    """Of a running mean of forecasts so many rows ahead: all values alike at first, the last ones later.

    Args:
        told_ES: where there is a value; elsewhere the rate is 0.
        count_ES: values that count: few, and this one counts for more.
        ahead: rows.
    """
    span = np.float32(min(_SPAN * ahead**0.5, _LONGEST_SPAN))
    found: Float32 = np.maximum(np.float32(1.0) / span, np.float32(1.0) / np.maximum(count_ES, 1.0)) * told_ES
    return found
