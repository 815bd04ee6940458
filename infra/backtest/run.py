"""One backtest: files in, every row scored before it is learned from, table and report out."""

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from infra.assembly import first_version, registry_of, shard_parts
from infra.backtest.auto import auto_monitor
from infra.backtest.options import Options
from infra.backtest.report import report_of
from infra.backtest.reveals import Reveals, of_entities, of_rows
from infra.backtest.table import ScoresTable
from infra.memory import MemoryLedger, MemoryRegistry
from infra.settings import load_monitor
from ingest.events import auto_signals
from ingest.files import FileSource
from ingest.outcomes import Outcome, read_outcomes
from schemas.errors import InputError, ModelError
from schemas.layout import Layout
from schemas.monitor import Monitor, Task, TaskKind
from scorer.run import run
from scorer.shard import SnapshotPolicy
from trainer.learner import Learner

EVENT_WEIGHT = 0.2
BATCH_ROWS = 1024
"""Rows between two looks of the learner; cut by number alone."""


@dataclass(frozen=True, slots=True)
class Backtested:
    """The scores, and what was measured on them."""

    table: ScoresTable
    report: dict[str, Any]


def backtest(options: Options) -> Backtested:
    """Stream the files and measure.

    Raises:
        ConfigError: the monitor is wrong.
        InputError: a file cannot be read as the contract says.
    """
    torch.set_num_threads(1)  # so small a network is slower on two, and its sums would depend on how many
    outcomes = read_outcomes(options.outcomes) if options.outcomes else []
    layout = Layout(_monitor(options, outcomes))
    source = FileSource(options.files, layout, BATCH_ROWS)
    if not len(source):
        raise InputError(f"{', '.join(map(str, options.files))}: got no row; expected at least one")
    registry = MemoryRegistry()
    if options.model != "fresh":
        registry.publish(_weights(layout, options.model), None, {})
    first_version(layout, registry)
    reveals = _reveals(source, layout, options, outcomes)
    learner = Learner(layout, options.seed, registry, labelled=len(reveals) > 0) if options.learn else None
    table = ScoresTable(layout, source.order)
    started = time.perf_counter()
    _stream(layout, source, registry, table, learner, reveals)
    seconds = time.perf_counter() - started
    measured = report_of(table, source.events.label, outcomes, options)
    return Backtested(table, measured | _running(source, registry, learner, reveals, seconds))


def _stream(
    layout: Layout,
    source: FileSource,
    registry: MemoryRegistry,
    table: ScoresTable,
    learner: Learner | None,
    reveals: Reveals,
) -> None:
    parts = shard_parts(layout, MemoryLedger(), registry, SnapshotPolicy(None, timedelta()), look_seconds=0.0)
    for scored in run(source, parts.shard, parts.pipeline):
        if scored is None:
            continue
        table.add(scored.predictions, scored.alerts)
        if learner is not None:
            batch = scored.predictions.batch
            learner.observe(batch)
            if len(reveals):
                learner.teach(reveals.until(batch.next_offsets[0]))
            learner.publish_if_proved(registry)


def _reveals(source: FileSource, layout: Layout, options: Options, outcomes: Sequence[Outcome]) -> Reveals:
    labels = of_entities(outcomes, source.events, source.order)
    if options.labels == "online":
        labels += of_rows(source.events, source.order, layout.anomaly.name, options.label_delay)
    return Reveals(labels)


def _running(
    source: FileSource, registry: MemoryRegistry, learner: Learner | None, reveals: Reveals, seconds: float
) -> dict[str, Any]:
    """What the run cost and did, for the report."""
    learning = {"steps": 0, "refused": 0, "labels": len(reveals), "labels_unmatched": 0}
    if learner is not None:
        learning |= {"steps": learner.steps, "refused": len(registry.quarantined)}
        learning["labels_unmatched"] = learner.unmatched_labels
    return {
        "events_per_s": round(len(source) / seconds, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "model_versions": [_described(registry, version) for version in range(1, registry.newest + 1)],
        "learning": learning,
        "refused": dict(source.refused),
    }


def _weights(layout: Layout, model: str) -> bytes:
    """A published version of the monitor's database, or a file's."""
    if model.isdecimal():
        stored = registry_of(layout.monitor)
        return stored.load(stored.get(int(model)))
    try:
        return Path(model).read_bytes()
    except OSError as error:
        raise ModelError(f"--model {model}: {error.strerror}; expected fresh, a version number or a file") from error


def _monitor(options: Options, outcomes: Sequence[Outcome]) -> Monitor:
    if options.monitor is None:
        monitor = auto_monitor(auto_signals(options.files), options.horizons or (1,))
    else:
        monitor = load_monitor(options.monitor)
    if options.horizons is not None:
        tasks = tuple(
            task.model_copy(update={"horizons": options.horizons}) if task.kind is TaskKind.FORECAST else task
            for task in monitor.tasks
        )
        monitor = monitor.model_copy(update={"tasks": tasks})
    model = monitor.model.model_copy(update={"seed": options.seed})
    # Files are merged by event time before they are read: nothing comes late, and every row must be answered.
    monitor = monitor.model_copy(update={"model": model, "lateness": timedelta(0)})
    return _with_events(monitor, outcomes, options.outcomes)


def _with_events(monitor: Monitor, outcomes: Sequence[Outcome], source: Path | None) -> Monitor:
    """The monitor with an event task for each outcome that it does not name.

    Their labels are few, so they weigh little: at full weight stay-level labels were seen to spoil a shared trunk.
    """
    kinds = {task.name: task.kind for task in monitor.tasks}
    wanted = dict.fromkeys(outcome.task for outcome in outcomes)
    for name in wanted:
        if kinds.get(name, TaskKind.EVENT) is not TaskKind.EVENT:
            raise InputError(f"{source}: task {name}: expected an event task, got the monitor's {kinds[name]} task")
    added = [{"name": name, "kind": TaskKind.EVENT, "weight": EVENT_WEIGHT} for name in wanted if name not in kinds]
    try:
        tasks = tuple(Task.model_validate(task) for task in added)
    except ValidationError as error:
        raise InputError(f"{source}: expected task names of letters, digits, _ and -, a letter first") from error
    return monitor.model_copy(update={"tasks": monitor.tasks + tasks})


def _described(registry: MemoryRegistry, version: int) -> dict[str, Any]:
    record = registry.get(version)
    return {"version": version, "parent": record.parent, "digest": record.digest, "metrics": dict(record.metrics)}
