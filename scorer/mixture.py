"""What serves of two forecasts: their mean with the least delayed squared error, and of what it says as much as came.

Bates and Granger (1969), The combination of forecasts: with d what one forecast says beyond the other and y how far the
truth is from the other, the best share of the one is E[d y] / E[d^2]. Both are running means, in units of the other's
error, so that a wild hour counts like a quiet one. To choose the better one would need a margin against luck, and pay
for it all the time.

The same of the mean beside persistence: with d the change that it says and y the one that came, E[d y] / E[d^2] is the
slope of what came on what was said (Mincer and Zarnowitz, 1969, section 2). Where both forecasts speak of a stream that
has passed, it goes to 0, and what stands is served until they have learned the new one.

E packed entities, S target signals, M moments.
"""

from collections.abc import Sequence

import numpy as np

from schemas.observation import Bool
from schemas.prediction import Float32

FAST, SLOW = range(2)
"""Of what both said: the fast head's, and the network's."""
MOMENTS = 4
_CROSS, _APART, _SLOPE, _SIZE = range(MOMENTS)
_SPAN, _LONGEST_SPAN = 150.0, 300.0
"""Values that errors and moments are averaged over: one row ahead, and from four on, where errors overlap."""
_DOUBT = 30.0
"""Values that the network's forecast counts as, so that a short stream's luck decides little."""
_MANY = 300.0
"""Values after which a slope is told from its luck."""
_REACH = 8.0
"""Mean absolute errors that one value counts as at most."""
_TRUST = np.float32(0.05)
"""Of the squared error: so small a change that is said is hardly doubted, for little hangs on it."""
_TINY = np.float32(1e-30)


def share(count_ES: Float32, moment_ESM: Float32) -> Float32:
    """Of what serves that is the fast head's, 0 to 1, less while values are few.

    Args:
        count_ES: values that have come.
        moment_ESM: state, as `weigh` left it.
    """
    best_ES = np.clip(moment_ESM[..., _CROSS] / np.maximum(moment_ESM[..., _APART], _TINY), 0.0, 1.0)
    found: Float32 = best_ES * count_ES / (count_ES + np.float32(_DOUBT))
    return found


def kept(count_ES: Float32, moment_ESM: Float32, ahead: int) -> Float32:
    """Of the change that the mean says what serves, 0 to 1: all of it unless it was worse than persistence.

    Where it was, the slope is below one half, for E[(y - d)^2] > E[y^2]. Above, it is followed one row ahead alone, and
    as values become many: by few, and by errors that overlap, its luck costs more than it gains.

    Args:
        count_ES: values that have come.
        moment_ESM: state, as `weigh` left it.
        ahead: rows.
    """
    slope_ES = (moment_ESM[..., _SLOPE] + _TRUST) / (moment_ESM[..., _SIZE] + _TRUST)
    few_ES = np.float32(_MANY) / (count_ES + np.float32(_MANY)) if ahead == 1 else np.float32(1.0)
    drawn_ES = np.float32(1.0) - np.clip((np.float32(1.0) + few_ES) * slope_ES, np.float32(0.0), np.float32(1.0))
    found: Float32 = np.float32(1.0) - drawn_ES * count_ES / (count_ES + np.float32(_DOUBT))
    return found


def weigh(
    moment_ESM: Float32,
    slow_ES: Float32,
    lately_ES: Float32,
    came_ES: Float32,
    said_ES2: Float32,
    mean_ES: Float32,
    rate_ES: Float32,
) -> None:
    """Learn from one value; `moment_ESM` is changed in place.

    Args:
        moment_ESM: state, zeros at first.
        slow_ES: mean absolute error of the network so far.
        lately_ES: that of the nearest forecast over the last few values; 0: not known.
        came_ES: the value, beyond that which stood when it was forecast.
        said_ES2: what fast head and network had said of it, likewise.
        mean_ES: and their mean, as it was then.
        rate_ES: what this value counts for, see `rate`.
    """
    from_slow = came_ES - said_ES2[..., SLOW], said_ES2[..., FAST] - said_ES2[..., SLOW]
    truth_ES, fast_ES = _in_units(from_slow, slow_ES)
    came_ES, said_ES = _in_units((came_ES, mean_ES), np.where(lately_ES > 0, lately_ES, slow_ES))
    new_ESM = np.stack([truth_ES * fast_ES, np.square(fast_ES), came_ES * said_ES, np.square(said_ES)], axis=-1)
    moment_ESM += rate_ES[..., None] * (new_ESM - moment_ESM)


def _in_units(values: Sequence[Float32], unit_ES: Float32) -> Float32:
    """Of a mean absolute error, clipped; 0 where there is none yet."""
    per_unit_ES = np.float32(1.0) / np.where(unit_ES > 0, np.maximum(unit_ES, _TINY), np.float32(np.inf))
    found: Float32 = np.clip(np.stack(values) * per_unit_ES, -_REACH, _REACH)
    return found


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
