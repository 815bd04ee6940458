"""How good the forecasts were, raw and standardised, at each horizon and over all up to it, beside persistence.

Shapes: N rows in input order, n rows in stream order, S signals, H horizons, Q quantiles.
"""

from typing import Any

import numpy as np
import pandas as pd

from infra.backtest.figures import Judged, mean, numbers
from infra.backtest.table import ScoresTable, signal_map
from infra.metrics.baselines import persistence
from infra.metrics.forecast import ForecastScores, joined, last_known, outcomes, score_forecasts
from schemas.horizon import name_of
from schemas.observation import Float64, Int64

_METRICS = ("mse", "mae", "mase", "pinball", "coverage")


def judge_forecasts(table: ScoresTable, stream_n: Int64, standardise_rows: int | None, first: int) -> Judged:
    """Judge the rows of the stream from `first` on.

    Args:
        table: the scores.
        stream_n: scored rows, in stream order.
        standardise_rows: the scaler is the standard deviation of so many first rows; None: of the first quarter.
        first: how many rows of the stream are not judged.
    """
    rows = standardise_rows or max(2, len(stream_n) // 4)
    scale_S = _deviation(table.values[stream_n[:rows]])
    scaler = {"rows": rows, "sd": numbers(scale_S)}
    said = {"scaler": scaler, "first_scored_row": first, "delay": "targets as they come"}
    ours, naive = (
        {"raw": _by_horizon(table, raw), "standardised": _by_horizon(table, raw.in_units(scale_S))}
        for raw in _scores(table, stream_n, first)
    )
    return Judged(ours | said, {"persistence": naive})


def _scores(table: ScoresTable, stream_n: Int64, first: int) -> tuple[ForecastScores, ForecastScores]:
    """Ours and persistence's; a horizon at a time, for a table of many is large."""
    task, entity_n = table.layout.forecast, pd.factorize(table.entity[stream_n])[0].astype(np.int64)
    values_nS = table.values[stream_n]
    came_nSH = outcomes(values_nS, entity_n, table.time_ms[stream_n], task.horizons)[first:]
    last_nS = last_known(values_nS, entity_n)[first:]
    naive_nSHQ = persistence(last_nS, 1, len(task.quantiles))
    ours, naive = [], []
    for h in range(len(task.horizons)):
        forecast_nSHQ, came = table.forecast[:, :, h : h + 1][stream_n[first:]], came_nSH[..., h : h + 1]
        ours.append(score_forecasts(forecast_nSHQ, came, last_nS, task.quantiles))
        naive.append(score_forecasts(naive_nSHQ, came, last_nS, task.quantiles))
    return joined(ours), joined(naive)


def _deviation(values_nS: Float64) -> Float64:
    """Standard deviation of each signal, [S]; 1 where it has none."""
    known_nS = np.isfinite(values_nS)
    count_S = np.maximum(known_nS.sum(axis=0), 1)
    mean_S = np.where(known_nS, values_nS, 0.0).sum(axis=0) / count_S
    square_S = np.where(known_nS, np.square(values_nS - mean_S), 0.0).sum(axis=0) / count_S
    return np.where(square_S > 0, np.sqrt(square_S), 1.0)


def _by_horizon(table: ScoresTable, scores: ForecastScores) -> dict[str, Any]:
    """`h<k>` of each horizon; `to_h<k>`, the mean over all of 1..k, where each of them was forecast."""
    names = list(signal_map(table.layout.names[: table.layout.n_targets]).values())
    whole = scores.cumulated()
    found: dict[str, Any] = {}
    for h, horizon in enumerate(table.layout.forecast.horizons):
        name = name_of(horizon)
        found[name] = {metric: mean(getattr(scores, metric)[:, h]) for metric in _METRICS}
        found[name]["mase_by_signal"] = dict(zip(names, numbers(scores.mase[:, h]), strict=True))
        if horizon == h + 1:
            found[f"to_{name}"] = {metric: mean(getattr(whole, metric)[:, h]) for metric in _METRICS}
    return found
