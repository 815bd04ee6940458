"""What the hour explains: a signal's profiles by hour of the day, taken off as far as they have helped.

Three forecasts of a deviation from the slow mean: none (0), the hour's slow profile over all days, and its quick one
for working days or weekends. They are mixed by the inverse square of their mean squared errors, so that a signal
without a rhythm keeps its value. Without any profile NAB's standard score was 8 points lower; with one for each hour of
the week, at more than twice the state, 2 points.

N packed rows, E packed entities, S signals, B bins: hours of all days, of working days, of weekends.
"""

import numpy as np

from schemas.observation import Bool, Field, Int64
from schemas.prediction import Float32
from scorer.recurrence import slices, total

_HOURS, _HOUR_SECONDS, _DAY_SECONDS = 24, 3600.0, 86400.0
_WEEK, _SATURDAY = 7, 2
"""Days, counted from the epoch's Thursday."""
_DAY_RATE, _KIND_RATE = 0.03, 0.2
"""Of a bin towards its newest value; the first one is taken whole."""
ERROR_SPAN = 500.0
"""Values that the forecasts' errors are averaged over."""
_LARGEST = 6e4
"""float16 ends at 65,504."""
_TINY = 1e-10


def initial(shape: tuple[int, int]) -> dict[str, Field]:
    """State of signals never seen, [E, S, ...]; NaN is an hour never seen. Half precision: 0.05 % of a value."""
    return {
        "profile": np.full((*shape, 3 * _HOURS), np.nan, dtype=np.float16),
        "error": np.zeros((*shape, 3), dtype=np.float32),
    }


def bins_of(time_N: Field) -> Int64:
    """Of seconds since the epoch: the hour's bin over all days, and that of its kind of day, [2, N]."""
    hour_N = (time_N // _HOUR_SECONDS).astype(np.int64) % _HOURS
    day_N = (time_N // _DAY_SECONDS).astype(np.int64) % _WEEK
    weekend_N = (day_N >= _SATURDAY) & (day_N < _SATURDAY + 2)
    return np.array([hour_N, hour_N + _HOURS + _HOURS * weekend_N])


def without_rhythm(
    value_NS: Float32,
    bins_2N: Int64,
    next_bins_2N: Int64,
    error_rate_NS1: Float32,
    waves: tuple[int, ...],
    state: dict[str, Field],
) -> tuple[Float32, Float32]:
    """What the profile leaves of each value, and how it goes on until the entity's next row, [N, S] both.

    The profile learns a value after it was judged, and before it says how it goes on.

    Args:
        value_NS: deviations from the slow mean, in typical changes of the signal.
        bins_2N: of the rows' hours.
        next_bins_2N: of the hour of the entity's next row, by its typical gap.
        error_rate_NS1: how fast errors are learned; 0 where the signal is absent.
        waves: sizes of the waves.
        state: `profile` and `error`, changed in place.
    """
    value_NS = np.clip(value_NS, np.float32(-_LARGEST), np.float32(_LARGEST))
    left_NS, ahead_NS = np.empty_like(value_NS), np.empty_like(value_NS)
    for rows, size in slices(waves):
        value, rate = value_NS[rows], error_rate_NS1[rows]
        profile, error = state["profile"][:size], state["error"][:size]
        day, kind = (_read(profile, bins_2N[place, rows]) for place in range(2))
        known_day = np.where(np.isnan(day), np.float32(0.0), day)
        missed = np.stack([value, value - known_day, value - np.where(np.isnan(kind), known_day, kind)], axis=-1)
        left_NS[rows] = _mixed(missed, error)
        error += rate * (np.square(missed) - error)
        present = rate[..., 0] > 0
        now = _learn(profile, bins_2N[0, rows], day, value, present, _DAY_RATE)
        _learn(profile, bins_2N[1, rows], kind, value, present, _KIND_RATE)
        ahead = _read(profile, next_bins_2N[0, rows]) - now
        ahead_NS[rows] = np.where(np.isnan(ahead), np.float32(0.0), ahead)
    return left_NS, ahead_NS


def _mixed(missed_ES3: Float32, error_ES3: Float32) -> Float32:
    """What the forecasts missed, weighted by the inverse square of their mean squared errors, [E, S]."""
    trust: Float32 = np.reciprocal(np.square(error_ES3 + np.float32(_TINY)))
    return total(missed_ES3 * trust) / total(trust)


def _read(profile_ESB: Field, bin_E: Int64) -> Float32:
    """A bin of each entity, [E, S]; NaN where its hour was never seen."""
    found: Float32 = profile_ESB[np.arange(len(profile_ESB)), :, bin_E].astype(np.float32)
    return found


def _learn(
    profile_ESB: Field, bin_E: Int64, was_ES: Float32, value_ES: Float32, present_ES: Bool, rate: float
) -> Float32:
    """Move a bin towards the value where it came; the bin afterwards, [E, S]."""
    moved_ES = np.where(np.isnan(was_ES), value_ES, was_ES + np.float32(rate) * (value_ES - was_ES))
    now_ES: Float32 = np.where(present_ES, moved_ES, was_ES).astype(np.float16)
    profile_ESB[np.arange(len(profile_ESB)), :, bin_E] = now_ES
    return now_ES.astype(np.float32)
