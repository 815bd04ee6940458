"""How well the anomaly score ranks labelled rows, beside a random scorer; and how many alarms were raised.

N rows in input order, n rows in stream order.
"""

from typing import Any

import numpy as np
import pandas as pd

from infra.backtest.figures import Judged, number
from infra.backtest.table import ScoresTable, per_entity_day
from infra.metrics.anomaly import auprc, auroc, vus_pr
from infra.metrics.baselines import random_scores
from schemas.alert import LEARNED
from schemas.observation import Bool, Field, Float64, Int64

_LEVELS = (0.9, 0.99, 0.999)
_AFTER = 5
"""Rows after a fault in which an alert still speaks of it."""


def judge_anomalies(table: ScoresTable, rows_n: Int64, label_N: Float64 | None, seed: int) -> Judged:
    """Judge some scored rows, in stream order. `head`: the network's own opinion, which labels teach, once it has one.

    `false_discoveries`, where their rate is controlled: of the learned score's alerts, those that labels call false.

    `coverage`: of how many rows the evidence stayed within what its calibration calls the 0.9, 0.99 and 0.999 quantile.
    """
    alarms = {
        "alarms": int(table.alert[rows_n].sum()),
        "alarms_per_entity_day": per_entity_day(int(table.alert[rows_n].sum()), table, rows_n),
        "coverage": {f"{level:g}": _coverage(table.probability[rows_n], level) for level in _LEVELS},
    }
    controlled = table.layout.monitor.alerts.false_discovery_rate is not None
    if label_N is None:
        return Judged(alarms | (_discoveries(table, rows_n, None) if controlled else {}), {})
    known = rows_n[np.isfinite(label_N[rows_n])]
    truth, entity = label_N[known] > 0, table.entity[known]
    random = _detection(random_scores(len(known), np.random.default_rng(seed)), truth, entity)
    ours: dict[str, Any] = {**_detection(table.anomaly[known], truth, entity)}
    beside: dict[str, Any] = {**random}
    head = table.anomaly_head[known]
    if len(head) and np.ptp(head) > 0:
        ours["head"], beside["head"] = _detection(head, truth, entity), random
    alerted = table.alert[known]
    caught = _caught(alerted, truth, entity)
    chance = _caught(np.random.default_rng(seed).permutation(alerted), truth, entity)
    found = _discoveries(table, known, truth) if controlled else {}
    return Judged(alarms | found | caught | ours, {"random": chance | beside})


def _discoveries(table: ScoresTable, rows_n: Int64, truth: Bool | None) -> dict[str, Any]:
    opened = np.zeros(len(table.entity), dtype=np.bool_)
    opened[table.opened.get((table.layout.anomaly.name, LEARNED), [])] = True
    told: dict[str, Any] = {
        "asked": table.layout.monitor.alerts.false_discovery_rate,
        "alarms": int(opened[rows_n].sum()),
    }
    if truth is not None:
        false = _caught(opened[rows_n], truth, table.entity[rows_n])["alarms_false"]
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
