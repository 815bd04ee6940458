"""Forecasts against what came, per signal and horizon: squared, absolute, scaled and pinball errors, coverage.

N rows, S signals, H horizons, Q quantiles. NaN, in a forecast or in what came, is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta

import numpy as np

from schemas.observation import Float64, Int64
from trainer.ahead import newest_within


@dataclass(frozen=True, slots=True)
class ForecastScores:
    """Means over rows, [S, H]; NaN where no row could be judged.

    Attributes:
        mse, mae: of the median, in the units of the values.
        mase: mae over that of persistence on the very same rows and horizon (below 1: better than the last value).
        pinball: mean over quantiles q of max(q e, (q - 1) e), e = came - forecast; the median's is mae / 2.
        coverage: share of values within the outermost quantiles, both included.
        rows: how many rows were judged.
    """

    mse: Float64
    mae: Float64
    mase: Float64
    pinball: Float64
    coverage: Float64
    rows: Int64

    def cumulated(self) -> "ForecastScores":
        """The same over the horizons listed up to each: plain means over horizons, as forecasting papers report."""
        steps = np.arange(1, self.rows.shape[1] + 1)
        means = [np.cumsum(each, axis=1) / steps for each in (self.mse, self.mae, self.pinball, self.coverage)]
        mse, mae, pinball, coverage = means
        with np.errstate(divide="ignore", invalid="ignore"):
            mase = np.cumsum(self.mae, axis=1) / np.cumsum(self.mae / self.mase, axis=1)
        return ForecastScores(mse, mae, mase, pinball, coverage, np.cumsum(self.rows, axis=1))

    def in_units(self, scale_S: Float64) -> "ForecastScores":
        """The same of values that are divided by `scale_S` (a standard deviation of the first rows) beforehand."""
        unit = scale_S[:, None]
        return replace(self, mse=self.mse / unit**2, mae=self.mae / unit, pinball=self.pinball / unit)


def score_forecasts(
    forecast_NSHQ: Float64, came_NSH: Float64, last_NS: Float64, quantiles: Sequence[float]
) -> ForecastScores:
    """Judge forecasts.

    Args:
        forecast_NSHQ: standing on each row, raw units.
        came_NSH: what came at each horizon (`outcomes`).
        last_NS: the last value known on each row (`last_known`): persistence.
        quantiles: ascending, with 0.5.
    """
    median = list(quantiles).index(0.5)
    levels = np.array(quantiles)
    judged = np.isfinite(came_NSH) & np.isfinite(forecast_NSHQ).all(axis=-1) & np.isfinite(last_NS)[..., None]
    off_NSHQ = np.where(judged[..., None], came_NSH[..., None] - forecast_NSHQ, np.nan)
    naive_NSH = np.where(judged, came_NSH - last_NS[..., None], np.nan)
    pinball_NSH = np.maximum(levels * off_NSHQ, (levels - 1.0) * off_NSHQ).mean(axis=-1)
    inside_NSH = np.where(judged, (off_NSHQ[..., 0] >= 0) & (off_NSHQ[..., -1] <= 0), np.nan)
    mae, naive = _mean(np.abs(off_NSHQ[..., median])), _mean(np.abs(naive_NSH))
    with np.errstate(divide="ignore", invalid="ignore"):
        mase = mae / naive
    return ForecastScores(
        mse=_mean(np.square(off_NSHQ[..., median])),
        mae=mae,
        mase=mase,
        pinball=_mean(pinball_NSH),
        coverage=_mean(inside_NSH),
        rows=judged.sum(axis=0),
    )


def joined(parts: Sequence[ForecastScores]) -> ForecastScores:
    """Scores of some horizons, followed by those of the next."""
    columns = ([getattr(part, field.name) for part in parts] for field in fields(ForecastScores))
    return ForecastScores(*(np.concatenate(column, axis=1) for column in columns))


def outcomes(values_NS: Float64, entity_N: Int64, time_ms_N: Int64, horizons: Sequence[int | timedelta]) -> Float64:
    """What came: the value at the entity's k-th next row, NaN past its end or where missing, [N, S, H].

    For a duration: the newest value seen within it, NaN where there is none or the entity ends before.

    Args:
        values_NS: rows in time order within each entity; entities may be interleaved.
        entity_N: the entity of each row.
        time_ms_N: event time of each row.
        horizons: the k, or durations.
    """
    order = np.argsort(entity_N, kind="stable")
    sorted_NS, sorted_N = values_NS[order], entity_N[order]
    came_NSH = np.full((*values_NS.shape, len(horizons)), np.nan)
    for column, k in enumerate(horizons):
        if isinstance(k, timedelta):
            for rows in np.split(order, np.flatnonzero(np.diff(sorted_N)) + 1):
                came_NSH[rows, :, column] = newest_within(values_NS[rows], time_ms_N[rows], k)
            continue
        same = np.flatnonzero(sorted_N[k:] == sorted_N[:-k])
        came_NSH[order[same], :, column] = sorted_NS[same + k]
    return came_NSH


def last_known(values_NS: Float64, entity_N: Int64) -> Float64:
    """The newest value of each signal at each row, the row included; NaN before the first, [N, S]."""
    order = np.argsort(entity_N, kind="stable")
    sorted_NS, sorted_N = values_NS[order], entity_N[order]
    row = np.arange(len(sorted_N))
    begins = np.append(True, sorted_N[1:] != sorted_N[:-1])
    begin_N = np.maximum.accumulate(np.where(begins, row, 0))
    seen_NS = np.maximum.accumulate(np.where(np.isfinite(sorted_NS), row[:, None], -1), axis=0)
    found = np.take_along_axis(sorted_NS, np.maximum(seen_NS, 0), axis=0)
    last_NS = np.empty_like(values_NS)
    last_NS[order] = np.where(seen_NS >= begin_N[:, None], found, np.nan)
    return last_NS


def _mean(value_NSH: Float64) -> Float64:
    count = np.isfinite(value_NSH).sum(axis=0)
    mean: Float64 = np.where(count > 0, np.nansum(value_NSH, axis=0) / np.maximum(count, 1), np.nan)
    return mean
