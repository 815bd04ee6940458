"""What came at a horizon, or within it: used by training, on windows and whole streams, and by the report.

W windows, L rows of each to be judged, A rows that came next, S signals, R rules.
"""

from datetime import timedelta

import numpy as np

from schemas.horizon import Horizon
from schemas.layout import Layout
from schemas.observation import Float64, Int64
from schemas.task import Task


def came_at(values: Float64, time_ms: Int64, length: int, horizon: int | timedelta) -> Float64:
    """What came at a horizon of each of the first `length` rows, [W, L, S]: of [W, L + A, S] values."""
    if isinstance(horizon, int):
        return values[:, horizon : horizon + length]
    return np.stack([newest_within(*pair, horizon)[:length] for pair in zip(values, time_ms, strict=True)])


def classes_ahead(task: Task, scores: Float64, length: int, layout: Layout) -> Int64:
    """Class of the worst score within the rows that follow each row, [W, L]: of [W, L + A, R] rules' scores.

    -1 where no rule saw anything.
    """
    if task.target is None:
        return np.full((len(scores), length), -1, dtype=np.int64)
    rule = [rule.name for rule in layout.monitor.rules].index(task.target.rule)
    known = np.where(np.isnan(scores[..., rule]), -np.inf, scores[..., rule])
    ahead = np.lib.stride_tricks.sliding_window_view(known[:, 1:], task.target.within, axis=1)
    worst = ahead.max(axis=-1)[:, :length]
    return np.where(np.isinf(worst), -1, np.searchsorted(np.array(task.target.cuts), worst, side="right"))


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


def came_within(time_ms_N: Int64, horizon: Horizon, until_ms: int, *, happened: bool) -> Int64:
    """For each row of one entity whether an event came within the horizon after it: 1, 0, or -1 unknown, [N].

    Unknown are rows at and after an event, and rows whose horizon was not yet over when it had not happened.

    Args:
        time_ms_N: rows in time order.
        horizon: how far each looks: so many of the entity's next rows, or so long.
        until_ms: when the event happened; where it did not, until when that is known.
        happened: did it?
    """
    seen = np.searchsorted(time_ms_N, until_ms, side="left" if happened else "right")
    rows_left_N = int(seen) - np.arange(len(time_ms_N))
    if isinstance(horizon, timedelta):
        span_ms = round(horizon / timedelta(milliseconds=1))
        near_N, over_N = until_ms - time_ms_N <= span_ms, until_ms - time_ms_N >= span_ms
    else:
        near_N, over_N = rows_left_N <= horizon, rows_left_N > horizon
    if happened:
        return np.where(rows_left_N > 0, near_N.astype(np.int64), -1)
    return np.where(over_N, 0, -1)
