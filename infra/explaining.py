"""Explains an alert: its row's history from the log or from files, the version that judged it, and why it said so.

R rows replayed, S signals, K tasks, Q quantiles.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infra.assembly import registry_of, utc_now
from infra.settings import load_monitor, shipped
from ingest.files import FileSource
from ingest.lookback import rows_before
from schemas.alert import RAISED
from schemas.errors import ConfigError, InputError
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch, Float64, Int64, Partition, Status
from schemas.silence import TASK
from scorer.admission import Admission
from scorer.alerts import read_alert, read_events
from scorer.globals import GlobalTable
from scorer.stages.finding import kinds_of
from scorer.waves import waves_of
from trainer.explain import Explainer
from trainer.explanation import Explained, Question
from trainer.weights import load_weights

Record = dict[str, Any]
_LEAST_ROWS = 2


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
    if task is None or not origin["model_version"] or layout.vectors:
        return told | {"network": None, "why_not": why_not(layout, record, origin)}
    registry = registry_of(monitor)
    served = registry.get(origin["model_version"])
    network = load_weights(layout, registry.load(served), f"model version {served.version}")
    torch.set_num_threads(1)
    time_ms, values = _history(layout, record, origin, rows, files)
    explainer = Explainer(network, values, time_ms / 1_000.0)
    questions = _questions(layout, explainer, task, record["reasons"])
    return told | {
        "network": {
            "version": origin["model_version"],
            "rows": len(time_ms),
            "came_and_expected": _came_and_expected(layout, explainer, values[-1]),
            "questions": [_answered(layout, explainer, explainer.explain(each), time_ms, values) for each in questions],
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


def why_not(layout: Layout, record: Record, origin: Record) -> str:
    """Why no network is asked about an alert.

    Args:
        layout: the monitor's.
        record: the alert's row.
        origin: that of the transition which its score is of.
    """
    if not origin["model_version"]:
        return "no network ran when this alert was raised"
    if record["task"] == TASK:
        return "a feed that failed is told by its rows and the clock: no task of the network has a part in it"
    if _task_behind(layout, record) is None:
        return f"rule {record['task']} decides by itself: no task of the network follows from it"
    names = ", ".join(layout.vectors)
    return f"modality {names}: frames and vectors are not replayed; `alerts show` says what the network looked at then"


def _history(layout: Layout, record: Record, origin: Record, rows: int, files: Sequence[Path]) -> tuple[Int64, Float64]:
    """The entity's rows up to the alert's, times [R] and raw values [R, S], as they were admitted."""
    table = GlobalTable(layout)
    if files:
        time_ms, values = _from_files(layout, files, record["entity"], origin["event_time"])
    else:
        partition = Partition(record["topic"], origin["partition"])
        batch, known = rows_before(layout, utc_now, partition, origin["offset"], record["entity"], rows)
        table.add(known)
        time_ms, values = _admitted(layout, batch)
    if len(time_ms) < _LEAST_ROWS:
        raise InputError(f"alert {record['id']}: got {len(time_ms)} rows up to it; expected {_LEAST_ROWS} or more")
    return time_ms[-rows:], table.join(time_ms, values)[-rows:]


def _from_files(layout: Layout, files: Sequence[Path], entity: str, until: datetime) -> tuple[Int64, Float64]:
    until_ms = round(until.timestamp() * 1_000)
    times, values = [], []
    for batch in FileSource(files, layout).batches(_Nobody()):
        assert batch is not None
        mine = (np.array(batch.entity) == entity) & (batch.time_ms <= until_ms) & (batch.status == Status.OK)
        times.append(batch.time_ms[mine])
        values.append(batch.values[mine])
    time_ms = np.concatenate(times)
    if not len(time_ms) or time_ms[-1] != until_ms:
        raise InputError(f"--input: got no row of the alert's entity at {_iso(until)}; expected the alert's own")
    return time_ms, np.concatenate(values)


class _Nobody:
    """Owns nothing: files are read from their beginning."""

    def adopt(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return dict.fromkeys(partitions, 0)

    def release(self, partitions: Sequence[Partition]) -> None:
        pass


def _admitted(layout: Layout, batch: Batch) -> tuple[Int64, Float64]:
    """What scoring would have let through, in event time where rows may wait for each other."""
    order = np.arange(len(batch))
    if layout.monitor.lateness:
        order = np.argsort(batch.time_ms, kind="stable")
    admission = Admission(len(layout.signals), layout.monitor.conflicts)
    entity = np.zeros(len(batch), dtype=np.int64)
    time_ms, status = batch.time_ms[order], batch.status[order]
    found = admission.admit(waves_of(entity), entity, time_ms, batch.values[order], status, admission.initial())
    kept = found.status == Status.OK
    return time_ms[kept], found.values[kept]


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


def _answered(layout: Layout, explainer: Explainer, explained: Explained, time_ms: Int64, values: Float64) -> Record:
    gradients, ablation = explained.gradients, explained.ablation
    modalities = [modality.name for modality in layout.monitor.modalities]
    return {
        "task": layout.tasks[explained.question.task].name,
        "asked": _asked(layout, explainer, explained.question),
        "answer": explained.answer,
        "integrated_gradients": {
            "signals": _named(layout.names, gradients.by_row_RS.sum(0)),
            "residuals": _named(layout.names, gradients.residual_S),
            "lags": gradients.by_row_RS.sum(1)[::-1].tolist(),
            "change": gradients.change,
            "gap": gradients.gap,
            "complete": gradients.complete,
            "points": gradients.points,
        },
        "ablation": {
            "modalities": _named(modalities, ablation.modality_M),
            "signals": _named(layout.names, ablation.signal_S),
            "lags": ablation.row_R[::-1].tolist(),
        },
        "cells": _cells(layout, explained, time_ms, values),
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


def _cells(layout: Layout, explained: Explained, time_ms: Int64, values: Float64) -> list[Record]:
    """Every value replayed, the one whose absence changes the answer most first. `lag` counts rows back."""
    gradient_RS, ablation_RS = explained.gradients.by_row_RS, explained.ablation.cell_RS
    cells = np.argwhere(~np.isnan(values))
    cells = cells[np.argsort(-np.abs(ablation_RS[tuple(cells.T)]), kind="stable")]
    return [
        {
            "signal": layout.names[signal],
            "lag": len(values) - 1 - row,
            "seconds_before": float(time_ms[-1] - time_ms[row]) / 1_000.0,
            "value": float(values[row, signal]),
            "integrated_gradients": float(gradient_RS[row, signal]),
            "ablation": float(ablation_RS[row, signal]),
        }
        for row, signal in cells.tolist()
    ]


def _named(names: Sequence[str], values: Float64) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=False)}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
