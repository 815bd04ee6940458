"""What a backtest measured, beside persistence and a random scorer.

Shapes: N rows in input order, n rows judged in stream order, S signals, H horizons.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from infra.backtest.options import Options
from infra.backtest.outcomes import score_outcomes
from infra.backtest.table import ScoresTable, signal_map
from infra.metrics.anomaly import auprc, auroc, vus_pr
from infra.metrics.baselines import persistence, random_scores
from infra.metrics.forecast import ForecastScores, last_known, outcomes, score_forecasts
from ingest.outcomes import Outcome
from schemas.horizon import name_of
from schemas.observation import Float64, Status

_DAY_MS = 86_400_000


def report_of(
    table: ScoresTable, label: Float64 | None, outcomes: Sequence[Outcome], options: Options
) -> dict[str, Any]:
    """The metrics part of the report. Rows before `score_from` (in stream order) are not judged."""
    stream = table.order[table.status[table.order] == Status.OK]
    forecast, naive = _forecast(table, stream, options.standardise_rows, options.score_from)
    anomaly, random = _anomaly(table, stream[options.score_from :], label, options.seed)
    layout = table.layout
    tasks = {layout.forecast.name: forecast, layout.anomaly.name: anomaly, **score_outcomes(table, outcomes)}
    return {
        "rows": {"all": len(table.order), **{s.name.lower(): int((table.status == s).sum()) for s in Status}},
        "tasks": tasks,
        "baselines": {"persistence": naive, "random": random},
        "signal_map": signal_map(layout.names[: layout.n_targets]),
        "label_delay": _delay(options),
    }


def _delay(options: Options) -> str:
    """When row labels were revealed to the model."""
    if options.labels == "none":
        return "never"
    if isinstance(options.label_delay, int):
        return f"{options.label_delay} rows"
    return f"{options.label_delay.total_seconds():g} s"


def _forecast(
    table: ScoresTable, stream: np.ndarray[tuple[int], np.dtype[np.int64]], standardise_rows: int | None, first: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    task = table.layout.forecast
    entity_n = pd.factorize(table.entity[stream])[0].astype(np.int64)
    values_nS = table.values[stream]
    came, last = outcomes(values_nS, entity_n, table.time_ms[stream], task.horizons), last_known(values_nS, entity_n)
    rows = standardise_rows or max(2, len(stream) // 4)
    scaler = _deviation(values_nS[:rows])
    said = {"scaler": {"rows": rows, "sd": _plain(scaler)}, "first_scored_row": first, "delay": "targets as they come"}
    found = []
    for forecast in (table.forecast[stream], persistence(last, len(task.horizons), len(task.quantiles))):
        judged = forecast[first:], came[first:], last[first:], task.quantiles
        raw, scaled = score_forecasts(*judged), score_forecasts(*judged, scaler)
        found.append({"raw": _by_horizon(table, raw), "standardised": _by_horizon(table, scaled)})
    return found[0] | said, found[1]


def _deviation(values_nS: Float64) -> Float64:
    """Standard deviation of each signal, [S]; 1 where it has none."""
    known_nS = np.isfinite(values_nS)
    count_S = np.maximum(known_nS.sum(axis=0), 1)
    mean_S = np.where(known_nS, values_nS, 0.0).sum(axis=0) / count_S
    square_S = np.where(known_nS, np.square(values_nS - mean_S), 0.0).sum(axis=0) / count_S
    return np.where(square_S > 0, np.sqrt(square_S), 1.0)


def _by_horizon(table: ScoresTable, scores: ForecastScores) -> dict[str, Any]:
    names = list(signal_map(table.layout.names[: table.layout.n_targets]).values())
    whole = scores.cumulated()
    found: dict[str, Any] = {}
    for h, horizon in enumerate(map(name_of, table.layout.forecast.horizons)):
        for key, each in ((horizon, scores), (f"to_{horizon}", whole)):
            found[key] = {metric: _mean(getattr(each, metric)[:, h]) for metric in _METRICS}
        found[horizon]["mase_by_signal"] = dict(zip(names, _plain(scores.mase[:, h]), strict=True))
    return found


_METRICS = ("mse", "mae", "mase", "pinball", "coverage")


def _anomaly(
    table: ScoresTable, rows: np.ndarray[tuple[int], np.dtype[np.int64]], label: Float64 | None, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    alarms = {"alarms": int(table.alert.sum()), "alarms_per_entity_day": _per_entity_day(table, rows)}
    if label is None:
        return alarms, {}
    known = rows[np.isfinite(label[rows])]
    truth, entity = label[known] > 0, table.entity[known]
    random = random_scores(len(known), np.random.default_rng(seed))
    head = {"head": _detection(table.anomaly_head[known], truth, entity)}
    return alarms | _detection(table.anomaly[known], truth, entity) | head, _detection(random, truth, entity)


def _detection(
    score: Float64, truth: np.ndarray[tuple[int], np.dtype[np.bool_]], entity: np.ndarray[Any, Any]
) -> dict[str, float | None]:
    """AUROC and AUPRC over all rows; VUS-PR of each entity that has an anomaly, averaged: it must not span two."""
    if truth.all() or not truth.any():
        return {"auroc": None, "auprc": None, "vus_pr": None}
    apart = pd.Series(np.arange(len(truth))).groupby(entity).indices.values()
    volumes = [vus_pr(score[rows], truth[rows]) for rows in apart if truth[rows].any()]
    return {
        "auroc": _number(auroc(score, truth)),
        "auprc": _number(auprc(score, truth)),
        "vus_pr": _number(float(np.mean(volumes))),
    }


def _per_entity_day(table: ScoresTable, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float | None:
    if not len(rows):
        return None
    times = pd.Series(table.time_ms[rows]).groupby(table.entity[rows])
    days = float(((times.max() - times.min()) / _DAY_MS).sum())
    return round(float(table.alert[rows].sum()) / days, 6) if days > 0 else None


def _mean(values: Float64) -> float | None:
    known = values[np.isfinite(values)]
    return _number(float(known.mean())) if len(known) else None


def _plain(values: Float64) -> list[float | None]:
    return [_number(float(value)) for value in values]


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
