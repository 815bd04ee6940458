"""One backtest: files in, every row scored before it is learned from, table and report out."""

import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import structlog
import torch

from infra.assembly import first_version, shard_parts
from infra.backtest.alarms import budgets_of
from infra.backtest.auto import AutoColumns, auto_columns
from infra.backtest.monitor import monitor_of
from infra.backtest.options import Options
from infra.backtest.report import report_of
from infra.backtest.reveals import Reveals, of_entities, of_rows
from infra.backtest.served import ways_served
from infra.backtest.table import ScoresTable
from infra.memory import MemoryLedger, MemoryRegistry
from infra.weights import FRESH, weights_of
from ingest.files import INPUT, FileSource
from ingest.outcomes import Outcome, read_outcomes
from schemas.layout import Layout
from schemas.observation import Float64
from scorer.run import run
from scorer.shard import SnapshotPolicy
from scorer.stages.pipeline import AlertPipeline
from trainer.learner import Learner
from trainer.weights import load_weights

BATCH_ROWS = 1024
"""Rows between two looks of the learner; cut by number alone."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Backtested:
    """The scores, what was measured on them, and the input rows' labels, NaN = none; None: there were none."""

    table: ScoresTable
    report: dict[str, Any]
    label: Float64 | None = None


def backtest(options: Options) -> Backtested:
    """Stream the files and measure.

    Raises:
        ConfigError: the monitor is wrong.
        InputError: a file cannot be read as the contract says.
        ModelError: the model does not fit the monitor.
    """
    torch.set_num_threads(1)  # so small a network is slower on two, and its sums would depend on how many
    outcomes = read_outcomes(options.outcomes) if options.outcomes else []
    auto = auto_columns(options.files, **options.keys) if options.monitor is None else None
    layout = Layout(monitor_of(options, auto.signals if auto else (), outcomes))
    source = FileSource(options.files, layout, BATCH_ROWS, labelled=True)
    found = _found(source, auto)
    registry = MemoryRegistry()
    if options.model != FRESH:
        weights = weights_of(layout, options.model, "--model")
        # A stream would go on without: its figures would not be the model's.
        load_weights(layout, weights.content, weights.source)
        registry.publish(weights.content, None, {})
    first_version(layout, registry)
    reveals = _reveals(source, layout, options, outcomes)
    learner = Learner(layout, options.seed, registry, labelled=len(reveals) > 0) if options.learn else None
    table = ScoresTable(layout, source.order, source.events.timed)
    started = time.perf_counter()
    pipeline = _stream(layout, source, registry, table, learner, reveals)
    seconds = time.perf_counter() - started
    measured = report_of(table, source.events, outcomes, options)
    measured["tasks"][layout.anomaly.name] |= budgets_of(pipeline, INPUT)
    for task, way in ways_served(layout, registry, table.versions).items():
        measured["tasks"][task]["sharing"] = way
    running = _running(source, registry, learner, reveals, seconds)
    return Backtested(table, measured | found | running, source.events.label)


def _found(source: FileSource, auto: AutoColumns | None) -> dict[str, Any]:
    """What of the input does not count as it stands, for the report; said at once, for a run may be long."""
    left_out = dict(auto.left_out) if auto else source.left_out
    if left_out:
        _log.warning("columns left out", columns=left_out)
    collapsed = source.events.collapsed()
    if collapsed:
        _log.warning("times of an entity that differ below a millisecond only count as one", times=collapsed)
    return {"left_out": left_out, "collapsed_times": collapsed}


def _stream(
    layout: Layout,
    source: FileSource,
    registry: MemoryRegistry,
    table: ScoresTable,
    learner: Learner | None,
    reveals: Reveals,
) -> AlertPipeline:
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
            learner.publish_if_proved()
    return parts.pipeline


def _reveals(source: FileSource, layout: Layout, options: Options, outcomes: Sequence[Outcome]) -> Reveals:
    labels = of_entities(outcomes, source.events, source.order)
    if options.labels == "online":
        told = {layout.anomaly.name: source.events.label, **source.events.classes}
        labels += of_rows(source.events, source.order, told, options.label_delay)
        if not labels:
            _log.warning("no label is revealed by the last row: nothing is learned from any", columns=list(told))
    return Reveals(labels)


def _running(
    source: FileSource, registry: MemoryRegistry, learner: Learner | None, reveals: Reveals, seconds: float
) -> dict[str, Any]:
    """What the run cost and did, for the report."""
    learning: dict[str, Any] = {"steps": 0, "refused": 0, "labels": len(reveals), "labels_unmatched": 0}
    if learner is not None:
        learning |= {"steps": learner.steps, "refused": len(registry.quarantined)}
        learning["labels_unmatched"] = learner.unmatched_labels
        learning["sharing"] = {task: asdict(standing) for task, standing in learner.candidate.sharing.items()}
    return {
        "events_per_s": round(len(source) / seconds, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "model_versions": [_described(registry, version) for version in range(1, registry.newest + 1)],
        "learning": learning,
        "refused": dict(source.refused),
        "refused_signals": dict(source.refused_signals),
    }


def _described(registry: MemoryRegistry, version: int) -> dict[str, Any]:
    record = registry.get(version)
    return {"version": version, "parent": record.parent, "digest": record.digest, "metrics": dict(record.metrics)}
