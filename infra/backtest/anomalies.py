"""How well the anomaly score ranks labelled rows, beside two others; and how many alarms were raised, of what.

N rows in input order, n rows in stream order.
"""

from typing import Any

import numpy as np
import pandas as pd

from infra.backtest.alarms import Alarms
from infra.backtest.figures import Judged, number
from infra.backtest.table import ScoresTable, per_entity_day
from infra.metrics.anomaly import auprc, auroc, vus_pr
from infra.metrics.baselines import ewma_z, random_scores
from schemas.observation import Bool, Field, Float64, Int64
from schemas.silence import TASK

_LEVELS = (0.9, 0.99, 0.999)
_AFTER = 5
"""Rows after a fault in which an alert still speaks of it."""


def judge_anomalies(table: ScoresTable, stream_n: Int64, first: int, label_N: Float64 | None, seed: int) -> Judged:
    """Judge the rows of the stream from `first` on. `head`: the network's own opinion, once labels taught it one.

    `alarms`: rows at which an alert opened or got worse, of anything that can raise one but silence (`alarms_of`: the
    alarms by what raised them; one row may tell several). `coverage`: of how many rows the evidence stayed within what
    its calibration calls the 0.9, 0.99 and 0.999 quantile. Baselines: random scores with our alarms shuffled; and an
    exponentially weighted z-score with as many alarms as ours, through the same stages.

    `false_discoveries`, where their rate is controlled: of the learned score's alerts, those that labels call false.
    """
    rows_n, alarm_N = stream_n[first:], table.raised.opened_rows(len(table.entity))
    count = int(alarm_N[rows_n].sum())
    alarms = {
        "alarms": count,
        "alarms_of": table.raised.counted(rows_n),
        "alarms_per_entity_day": per_entity_day(count, table, rows_n),
        "coverage": {f"{level:g}": _coverage(table.probability[rows_n], level) for level in _LEVELS},
    }
    controlled = table.layout.monitor.alerts.false_discovery_rate is not None
    if label_N is None:
        return Judged(alarms | (_discoveries(table, rows_n, None) if controlled else {}), {})
    known = rows_n[np.isfinite(label_N[rows_n])]
    truth, entity, random = label_N[known] > 0, table.entity[known], np.random.default_rng(seed)
    ewma_N, ewma_alarm_N = _ewma(table, stream_n, first, count)
    chance = random_scores(len(known), np.random.default_rng(seed))
    scored = {
        "ours": (table.anomaly[known], alarm_N[known]),
        "ewma": (ewma_N[known], ewma_alarm_N[known]),
        "random": (chance, random.permutation(alarm_N[known])),
    }
    found: dict[str, dict[str, Any]] = {
        name: {**_caught(alerted, truth, entity), **_detection(score, truth, entity)}
        for name, (score, alerted) in scored.items()
    }
    head = table.anomaly_head[known]
    if len(head) and np.ptp(head) > 0:
        heads = {name: score for name, (score, _) in scored.items()} | {"ours": head}
        for name, score in heads.items():
            found[name]["head"] = _detection(score, truth, entity)
    alarms |= _discoveries(table, known, truth) if controlled else {}
    return Judged(alarms | found.pop("ours"), found)


def judge_silence(table: ScoresTable, rows_n: Int64) -> dict[str, Judged]:
    """How many alarms some rows, in stream order, told of feeds that failed, where the monitor watches them."""
    failures = table.raised.failures(rows_n)
    if failures is None:
        return {}
    count = sum(failures.values())
    rate = per_entity_day(count, table, rows_n)
    return {TASK: Judged({"alarms": count, "alarms_of": failures, "alarms_per_entity_day": rate}, {})}


def _ewma(table: ScoresTable, stream_n: Int64, first: int, wanted: int) -> tuple[Float64, Bool]:
    """An exponentially weighted z-score, and the rows at which it raises so many alarms from `first` on, [N]."""
    entity_n = pd.factorize(table.entity[stream_n])[0].astype(np.int64)
    place_n = np.array(pd.Series(entity_n).groupby(entity_n).cumcount(), dtype=np.int64)
    score_n = ewma_z(table.values[stream_n], entity_n)
    score_N, told_N = np.zeros(len(table.entity)), np.zeros(len(table.entity), dtype=np.bool_)
    score_N[stream_n] = score_n
    alarms = Alarms(table.layout.monitor.alerts, entity_n[first:], place_n[first:])
    told_N[stream_n[first:][alarms.as_many(score_n[first:], wanted)]] = True
    return score_N, told_N


def _discoveries(table: ScoresTable, rows_n: Int64, truth: Bool | None) -> dict[str, Any]:
    opened_N = table.raised.opened_by_score(len(table.entity))
    told: dict[str, Any] = {
        "asked": table.layout.monitor.alerts.false_discovery_rate,
        "alarms": int(opened_N[rows_n].sum()),
    }
    if truth is not None:
        false = _caught(opened_N[rows_n], truth, table.entity[rows_n])["alarms_false"]
        told |= {"false": false, "achieved": number(false / told["alarms"]) if told["alarms"] else None}
    return {"false_discoveries": told}


def _caught(alerted: Bool, truth: Bool, entity: Field) -> dict[str, int]:
    """A fault is an entity's labelled rows without a break, caught by an alert from the first one to shortly after.

    Alerts elsewhere are false.
    """
    faults = caught = false = 0
    for rows in pd.Series(np.arange(len(truth))).groupby(entity).indices.values():
        edges = np.flatnonzero(np.diff(truth[rows], prepend=False, append=False))
        spoken_for = np.zeros(len(rows), dtype=np.bool_)
        for first, after in edges.reshape(-1, 2).tolist():
            spoken_for[first : after + _AFTER] = True
            caught += bool(alerted[rows][first : after + _AFTER].any())
        faults += len(edges) // 2
        false += int((alerted[rows] & ~spoken_for).sum())
    return {"faults": faults, "faults_alerted": caught, "alarms_false": false}


def _coverage(probability_n: Float64, level: float) -> float | None:
    return number(float((probability_n <= level).mean())) if len(probability_n) else None


def _detection(score: Float64, truth: Bool, entity: Field) -> dict[str, float | None]:
    """AUROC and AUPRC over all rows; VUS-PR of each entity that has an anomaly, averaged: it must not span two."""
    if truth.all() or not truth.any():
        return {"auroc": None, "auprc": None, "vus_pr": None}
    apart = pd.Series(np.arange(len(truth))).groupby(entity).indices.values()
    volumes = [vus_pr(score[rows], truth[rows]) for rows in apart if truth[rows].any()]
    return {
        "auroc": number(auroc(score, truth)),
        "auprc": number(auprc(score, truth)),
        "vus_pr": number(float(np.mean(volumes))),
    }
