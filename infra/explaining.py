"""Explains an alert: its row's history from the log or from files, the version that judged it, and why it said so.

R rows replayed, S signals, V modalities with frames or vectors, K tasks, Q quantiles.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infra.alert_rows import EntityRows, rows_of
from infra.assembly import registry_of
from infra.settings import load_monitor, shipped
from schemas.alert import RAISED
from schemas.errors import ConfigError, InputError
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Float64
from schemas.silence import TASK
from scorer.alerts import read_alert, read_events
from scorer.stages.finding import kinds_of
from trainer.explain import Explainer
from trainer.explanation import Explained, Question
from trainer.weights import load_weights

Record = dict[str, Any]


def explain_alert(
    alert_id: str, rows: int, files: Sequence[Path] = (), database: str | None = None, config: str | None = None
) -> Record:
    """Everything that can be said of an alert, as JSON has it.

    Args:
        alert_id: as `alerts list` shows it, or how it begins.
        rows: how many of the entity's last rows are replayed.
        files: read the rows from there; none: from the topic the alert came from.
        database: URL; None: the environment's, else the embedded one.
        config: the monitor's file or shipped name; None: the alert's monitor is a shipped one.

    Raises:
        InputError: no such alert, or its rows are no longer there.
        ConfigError: the monitor's configuration is unknown, or wrong.
        ModelError: the version is unknown, its file is missing, or it was made for another configuration.
        StackError: the database or the broker cannot be read.
    """
    record = read_alert(alert_id, database)
    monitor = _monitor(record["monitor"], config, database)
    layout, origin = Layout(monitor), _worst(record, read_events(record["id"], database))
    told = _told(record, origin)
    task = _task_behind(layout, record)
    if task is None or not origin["model_version"]:
        return told | {"network": None, "why_not": _why_not(record, origin)}
    registry = registry_of(monitor)
    served = registry.get(origin["model_version"])
    network = load_weights(layout, registry.load(served), f"model version {served.version}")
    torch.set_num_threads(1)
    lived = rows_of(layout, record, origin, rows, files)
    explainer = Explainer(network, lived.values, lived.time_ms / 1_000.0, lived.vectors)
    questions = _questions(layout, explainer, task, record["reasons"])
    return told | {
        "network": {
            "version": origin["model_version"],
            "rows": len(lived.time_ms),
            "came_and_expected": _came_and_expected(layout, explainer, lived.values[-1]),
            "questions": [_answered(layout, explainer, explainer.explain(each), lived) for each in questions],
        }
    }


def _monitor(name: str, config: str | None, database: str | None) -> Monitor:
    if config is None and name not in shipped():
        expected = f"the file that configures monitor {name}: it is not one of the shipped ({', '.join(shipped())})"
        raise ConfigError("command line", "--config", None, expected)
    monitor = load_monitor(config or name)
    if monitor.monitor != name:
        raise ConfigError("command line", "--config", monitor.monitor, f"the configuration of monitor {name}")
    if database is None:
        return monitor
    return monitor.model_copy(update={"database": monitor.database.model_copy(update={"url": database})})


def _worst(record: Record, events: Sequence[Record]) -> Record:
    """The transition whose score and reasons the alert's row keeps: a later one may have been worse than the first."""
    raised = [event for event in events if event["change"] in RAISED]
    return max(raised, key=lambda event: event["score"], default=record)


def _told(record: Record, origin: Record) -> Record:
    names = ("id", "monitor", "entity", "task", "kind", "severity", "score", "summary", "rung", "reasons")
    alert = {name: record[name] for name in names} | {"event_time": _iso(origin["event_time"])}
    where = {"topic": record["topic"], "partition": origin["partition"], "offset": origin["offset"]}
    return {"alert": alert | where | {"model_version": origin["model_version"]}, "stored": record["explanation"]}


def _task_behind(layout: Layout, record: Record) -> int | None:
    if record["task"] == TASK:
        return None
    kinds = {(kind.task, kind.kind): kind.question for kind in kinds_of(layout)}
    try:
        return kinds[record["task"], record["kind"]]
    except KeyError as error:
        known = ", ".join(task for task, _ in kinds)
        raise InputError(f"alert {record['id']}: task {record['task']} is not configured; expected {known}") from error


def _why_not(record: Record, origin: Record) -> str:
    if not origin["model_version"]:
        return "no network ran when this alert was raised"
    if record["task"] == TASK:
        return "a feed that failed is told by its rows and the clock: no task of the network has a part in it"
    return f"rule {record['task']} decides by itself: no task of the network follows from it"


def _questions(layout: Layout, explainer: Explainer, task: int, reasons: Sequence[Record]) -> list[Question]:
    """Of the learned score what the anomaly head said, and the forecast of the signal that surprised most."""
    if task > 1:
        return [Question(task, int(explainer.probability(task).argmax()))]
    surprising = [layout.index[reason["signal"]] for reason in reasons[:1]]
    return [Question(1), *(Question(0, column) for column in surprising)]


def _came_and_expected(layout: Layout, explainer: Explainer, came_S: Float64) -> list[Record]:
    """Per signal that came what was forecast for it when the row before was judged in the replay, raw units."""
    expected_SQ = explainer.expected()
    quantiles = [f"q{quantile:g}" for quantile in layout.forecast.quantiles]
    return [
        {"signal": layout.names[column], "came": float(came_S[column])}
        | {name: _number(value) for name, value in zip(quantiles, expected_SQ[column], strict=True)}
        for column in np.flatnonzero(~np.isnan(came_S[: layout.n_targets])).tolist()
    ]


def _answered(layout: Layout, explainer: Explainer, explained: Explained, lived: EntityRows) -> Record:
    gradients, ablation = explained.gradients, explained.ablation
    lag_R = gradients.by_row_RS.sum(1) + gradients.vector_RV.sum(1)
    modalities = [modality.name for modality in layout.monitor.modalities]
    return {
        "task": layout.tasks[explained.question.task].name,
        "private": explained.private,
        "standing": layout.tasks[explained.question.task].target is not None,
        "asked": _asked(layout, explainer, explained.question),
        "answer": explained.answer,
        "integrated_gradients": {
            "signals": _named(layout.names, gradients.by_row_RS.sum(0)),
            "residuals": _named(layout.names, gradients.residual_S),
            "vectors": _named([_carried(layout, name) for name in layout.vectors], gradients.vector_RV.sum(0)),
            "lags": lag_R[::-1].tolist(),
            "change": gradients.change,
            "gap": gradients.gap,
            "complete": gradients.complete,
            "points": gradients.points,
        },
        "ablation": {
            "modalities": _named(modalities, ablation.modality_M),
            "signals": _named(layout.names, ablation.signal_S),
            "lags": ablation.row_R[::-1].tolist(),
            "regions": {name: region_GG.tolist() for name, region_GG in ablation.regions.items()},
        },
        "cells": _cells(layout, explained, lived),
        "attention": {
            "modalities": _named(modalities, explained.attention_M),
            "nothing": explained.nothing,
            "agreement_with_ablation": explained.agreement,
        },
        "tasks": {"attention": _named([each.name for each in layout.tasks], explained.tasks_K), "gate": explained.gate},
    }


def _asked(layout: Layout, explainer: Explainer, question: Question) -> str:
    if question.task == 0:
        return f"forecast of {layout.names[question.choice]} for the alert's row, in its typical changes"
    if question.task == 1:
        return "logit of the anomaly head"
    task = layout.tasks[question.task].name
    probability = explainer.probability(question.task)[question.choice]
    return f"log odds of {task} = {layout.classes[task][question.choice]} (probability {probability:.2f})"


def _cells(layout: Layout, explained: Explained, lived: EntityRows) -> list[Record]:
    """Every value, frame and vector replayed, the one whose absence changes the answer most first; `lag` in rows."""
    gradients, ablation = explained.gradients, explained.ablation
    values = [
        (layout.names[signal], row, lived.values[row, signal], gradients.by_row_RS, ablation.cell_RS, signal)
        for row, signal in np.argwhere(~np.isnan(lived.values)).tolist()
    ]
    vectors = [
        (_carried(layout, name), row, None, gradients.vector_RV, ablation.vector_RV, place)
        for place, name in enumerate(layout.vectors)
        for row in np.flatnonzero((~np.isnan(lived.values[:, layout.derived(name)])).any(axis=1)).tolist()
    ]
    cells = [
        {
            "signal": name,
            "lag": len(lived.time_ms) - 1 - row,
            "seconds_before": float(lived.time_ms[-1] - lived.time_ms[row]) / 1_000.0,
            "value": None if value is None else float(value),
            "integrated_gradients": float(by_gradients[row, column]),
            "ablation": float(by_ablation[row, column]),
        }
        for name, row, value, by_gradients, by_ablation, column in values + vectors
    ]
    return sorted(cells, key=lambda cell: -abs(cell["ablation"]))


def _carried(layout: Layout, name: str) -> str:
    """What people call what a modality carries beside the signals derived from it."""
    return f"{name} ({'frame' if len(layout.vectors[name].shape) > 1 else 'vector'})"


def _named(names: Sequence[str], values: Float64) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=False)}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
