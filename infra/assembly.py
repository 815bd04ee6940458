"""Puts the parts of one shard and of one trainer together: here alone is it decided which part goes where."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from infra.database import database_of
from infra.registry import SqlRegistry
from ingest.cluster import cluster_of
from ingest.topics import partitions_of
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Field
from schemas.protocols import Ledger, ModelRecord, Registry, Versions
from scorer.globals import GlobalTable
from scorer.ledger import SqlLedger
from scorer.reorder import Reorder
from scorer.scorer import Scorer, state_template
from scorer.serving import ServingModels
from scorer.shadow import Beside, Shadows
from scorer.shard import Shard, SnapshotPolicy
from scorer.silence.watch import Silence
from scorer.stages.pipeline import AlertPipeline
from scorer.store import Store
from scorer.strictness import Strictness, Verdicts, moved_by_verdicts, tolerated
from trainer.network import Network
from trainer.weights import save_weights


def utc_now() -> datetime:
    """The clock of services; tests and backtests hand in their own."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ShardParts:
    """A shard, and what the data-flow function needs beside it."""

    shard: Shard
    pipeline: AlertPipeline
    store: Store


def shard_parts(
    layout: Layout,
    ledger: Ledger,
    registry: Versions,
    snapshots: SnapshotPolicy,
    look_seconds: float = 0.5,
    partitions: int = 1,
    verdicts: Verdicts | None = None,
    shadows: Shadows | None = None,
) -> ShardParts:
    """A shard over any ledger and registry; it looks for newer models every `look_seconds`.

    An alarm budget in total is shared out among so many `partitions`; `verdicts` on alerts move their thresholds;
    `shadows` say which version is scored beside the one that serves.
    """
    template: dict[str, Field] = state_template(layout)
    store = Store(template)
    serving = ServingModels(layout, registry, time.monotonic, look_seconds)
    table = GlobalTable(layout)
    scorer = Scorer(layout, store, serving.network_of, table)
    reorder = Reorder(layout.monitor.lateness, layout)
    beside = None
    if shadows is not None:
        beside = Beside(layout, store, table, serving.network_of, shadows, time.monotonic, look_seconds)
    silence = None if layout.monitor.silence is None else Silence(layout, store, time.monotonic)
    pipeline = AlertPipeline(layout, store, partitions=partitions, silence=silence)
    may = {task: tolerated(kind, layout.monitor.alerts) for task, kind in moved_by_verdicts(layout).items()}
    strictness = None if verdicts is None else Strictness(verdicts, may, time.monotonic, look_seconds)
    shard = Shard(scorer, store, ledger, serving, reorder, snapshots, time.monotonic, beside, pipeline, strictness)
    return ShardParts(shard, pipeline, store)


def shares_of(monitor: Monitor) -> int:
    """How many partitions share a budget that is said in total; 1 where none is."""
    if monitor.alerts.kept is None:
        return 1
    return partitions_of(monitor.kafka.bootstrap_servers)[monitor.topics.observations]


def snapshot_policy(monitor: Monitor) -> SnapshotPolicy:
    """Where a service's snapshots go."""
    directory = monitor.database.folder / "snapshots" / monitor.monitor
    return SnapshotPolicy(directory, monitor.database.snapshot_every)


def registry_of(monitor: Monitor, engine: Engine | None = None) -> SqlRegistry:
    """The monitor's registry in its database, which must exist where no engine is given."""
    engine = engine or database_of(monitor)
    directory = monitor.database.folder
    return SqlRegistry(engine, monitor.monitor, directory, utc_now, monitor.training.shadow_rows)


def first_version(layout: Layout, registry: Registry) -> ModelRecord:
    """The serving version; a fresh network is published where there is none (its forecast is persistence)."""
    return registry.serving() or registry.publish_first(save_weights(Network(layout)))


def ledger_of(monitor: Monitor, engine: Engine, name: str, owner: str) -> SqlLedger:
    """The ledger of a monitor's shards (`name` its own) or of its trainer."""
    cluster = cluster_of(monitor.kafka.bootstrap_servers)
    return SqlLedger(
        engine=engine,
        monitor=name,
        cluster=cluster.id,
        owner=f"{owner}@{os.getpid()}",
        clock=utc_now,
        lease=monitor.database.lease,
        topic_id=cluster.topic_id,
        on_discard=_delete,
    )


def _delete(files: Sequence[str]) -> None:
    for file in files:
        Path(file).unlink(missing_ok=True)
