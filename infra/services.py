"""The long-running parts, without Ray: a shard that scores its partitions, a trainer that learns from the same topics."""

import os
import threading
import time
from collections.abc import Mapping, Sequence

from sqlalchemy import Engine

from infra.assembly import registry_of, shard_parts, snapshot_policy, utc_now
from infra.database import connect
from infra.meter import Meter
from ingest.cluster import cluster_of
from ingest.kafka import KafkaSource, group_id
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch, Partition
from schemas.protocols import Advance, Tally
from scorer.ledger import SqlLedger
from scorer.run import run
from trainer.learner import Learner, StepReport
from trainer.weights import load_weights


class ShardService:
    """One member of the monitor's consumer group: scores the partitions it is given.

    Args:
        monitor: what to watch.
        index: which of the monitor's shards this is; its group membership is static under that name.
    """

    def __init__(self, monitor: Monitor, index: int) -> None:
        layout, engine = Layout(monitor), connect(monitor.database.url)
        member = f"{monitor.monitor}-shard-{index}"
        self._source = KafkaSource(layout, utc_now, group_instance_id=member)
        ledger = ledger_of(monitor, engine, monitor.monitor, member)
        self._parts = shard_parts(layout, ledger, registry_of(monitor, engine), snapshot_policy(monitor))
        self._meter = Meter(time.monotonic)
        self._stop = threading.Event()

    def serve(self) -> None:
        """Score until stopped."""
        try:
            for scored in run(self._source, self._parts.shard, self._parts.pipeline):
                if scored is not None:
                    self._meter.add(scored)
                if self._stop.is_set():
                    break
        finally:
            self._source.close()

    def status(self) -> dict[str, object]:
        """Counts, lag and model version."""
        return {**self._meter.snapshot(), "lag": sum(self._source.lag().values()), "pid": os.getpid()}

    def stop(self) -> None:
        """Ask `serve` to return after the batch in hand."""
        self._stop.set()


class TrainerService:
    """Learns from the monitor's topic as a consumer group of its own; training lag never slows scoring.

    Its offsets stand in the same ledger under ``<monitor>.trainer``, so that a restart neither skips nor repeats
    more than the windows that were in memory.
    """

    def __init__(self, monitor: Monitor) -> None:
        layout, engine = Layout(monitor), connect(monitor.database.url)
        member = f"{monitor.monitor}-trainer-0"
        kafka = monitor.kafka.model_copy(update={"group_id": f"{group_id(monitor)}-trainer"})
        reading = Layout(monitor.model_copy(update={"kafka": kafka}))
        self._source = KafkaSource(reading, utc_now, group_instance_id=member)
        self._ledger = ledger_of(monitor, engine, f"{monitor.monitor}.trainer", member)
        self._registry = registry_of(monitor, engine)
        self._learner = _learner(layout, self._registry)
        self._offsets: dict[Partition, int] = {}
        self._stop = threading.Event()
        self._events = 0
        self._steps = 0
        self._last: StepReport | None = None

    def adopt(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Go on where learning stood."""
        for partition in partitions:
            self._offsets[partition] = self._ledger.acquire(partition).committed
        return {partition: self._offsets[partition] for partition in partitions}

    def release(self, partitions: Sequence[Partition]) -> None:
        """Another trainer goes on."""
        for partition in partitions:
            self._offsets.pop(partition, None)
            self._ledger.release(partition)

    def serve(self) -> None:
        """Learn until stopped."""
        try:
            for batch in self._source.batches(self):
                self._learner.note(self._source.globals())
                if batch is not None:
                    self._learn(batch)
                if self._stop.is_set():
                    break
        finally:
            self._source.close()

    def status(self) -> dict[str, object]:
        """Steps, per-task losses and lag."""
        return {
            "events": self._events,
            "steps": self._learner.steps,
            "refused": self._refused,
            "losses": self._losses,
            "lag": sum(self._source.lag().values()),
            "pid": os.getpid(),
        }

    def stop(self) -> None:
        """Ask `serve` to return after the batch in hand."""
        self._stop.set()

    def _learn(self, batch: Batch) -> None:
        joined = replace(batch, values=self._table.join(batch.time_ms, batch.values))
        for report in self._learner.observe(joined):
            self._losses = dict(report.losses)
            ...
        self._events += len(batch)
        self._learner.publish_if_proved(self._registry)
        self._ledger.commit([], self._advances(batch))
