"""What a duration horizon is held against: used by training, on windows, and by the report, on whole streams."""

from datetime import timedelta

import numpy as np

from schemas.observation import Float64, Int64


def newest_within(values_NS: Float64, time_ms_N: Int64, duration: timedelta) -> Float64:
    """For each row of one entity the newest value seen after it, within a duration, [N, S].

    NaN where nothing was seen, and where the rows end before the duration does: what is still to come is unknown.

    Args:
        values_NS: rows in time order, NaN = missing.
        time_ms_N: their event times.
        duration: how far ahead.
    """
    row = np.arange(len(time_ms_N))
    until_N = time_ms_N + round(duration / timedelta(milliseconds=1))
    last_N = np.searchsorted(time_ms_N, until_N, side="right") - 1
    seen_NS = np.maximum.accumulate(np.where(np.isnan(values_NS), -1, row[:, None]), axis=0)
    newest_NS = seen_NS[last_N]
    found = np.take_along_axis(values_NS, np.maximum(newest_NS, 0), axis=0)
    ended_N = until_N > time_ms_N[-1]
    return np.where((newest_NS > row[:, None]) & ~ended_N[:, None], found, np.nan)
