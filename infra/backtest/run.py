"""One backtest: files in, every row scored before it is learned from, table and report out."""

import resource
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from infra.assembly import first_version, registry_of, shard_parts
from infra.backtest.auto import auto_monitor
from infra.backtest.options import Options
from infra.backtest.report import report_of
from infra.backtest.table import ScoresTable
from infra.memory import MemoryLedger, MemoryRegistry
from infra.settings import load_monitor
from ingest.events import auto_signals
from ingest.files import FileSource
from schemas.errors import InputError, ModelError
from schemas.layout import Layout
from schemas.monitor import Monitor, TaskKind
from scorer.run import run
from scorer.shard import SnapshotPolicy
from trainer.learner import Learner

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
    layout = Layout(_monitor(options))
    source = FileSource(options.files, layout, BATCH_ROWS)
    if not len(source):
        raise InputError(f"{', '.join(map(str, options.files))}: got no row; expected at least one")
    registry = MemoryRegistry()
    if options.model != "fresh":
        registry.publish(_weights(layout, options.model), None, {})
    first_version(layout, registry)
    table = ScoresTable(layout, source.order)
    started = time.perf_counter()
    steps = _stream(layout, source, registry, table, options)
    seconds = time.perf_counter() - started
    measured = report_of(table, source.events.label, options.seed, options.standardise_rows, options.score_from)
    running = {
        "events_per_s": round(len(source) / seconds, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "model_versions": [_described(registry, version) for version in range(1, registry.newest + 1)],
        "learning": {"steps": steps, "refused": len(registry.quarantined)},
        "refused": dict(source.refused),
    }
    return Backtested(table, measured | running)


def _stream(layout: Layout, source: FileSource, registry: MemoryRegistry, table: ScoresTable, options: Options) -> int:
    parts = shard_parts(layout, MemoryLedger(), registry, SnapshotPolicy(None, timedelta()), look_seconds=0.0)
    learner = Learner(layout, options.seed, registry) if options.learn else None
    for scored in run(source, parts.shard, parts.pipeline):
        if scored is None:
            continue
        table.add(scored.predictions, scored.alerts)
        if learner is not None:
            learner.observe(scored.predictions.batch)
            learner.publish_if_proved(registry)
    return learner.steps if learner is not None else 0


def _weights(layout: Layout, model: str) -> bytes:
    """A published version of the monitor's database, or a file's."""
    if model.isdecimal():
        stored = registry_of(layout.monitor)
        return stored.load(stored.get(int(model)))
    try:
        return Path(model).read_bytes()
    except OSError as error:
        raise ModelError(f"--model {model}: {error.strerror}; expected fresh, a version number or a file") from error


def _monitor(options: Options) -> Monitor:
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
    return monitor.model_copy(update={"model": model})


def _described(registry: MemoryRegistry, version: int) -> dict[str, Any]:
    record = registry.get(version)
    return {"version": version, "parent": record.parent, "digest": record.digest, "metrics": dict(record.metrics)}
