"""A trainer as a service: learns from the monitor's topic as a consumer group of its own. Runs without Ray."""

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from infra.assembly import ledger_of, registry_of, utc_now
from infra.database import connect
from ingest.kafka import KafkaSource, group_id
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch, Partition
from schemas.protocols import Advance, Tally
from scorer.globals import GlobalTable
from trainer.learner import Learner


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
        self._events += len(batch)
        self._learner.publish_if_proved(self._registry)
        self._ledger.commit([], self._advances(batch))
