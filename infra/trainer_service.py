"""A trainer as a service: learns from the monitor's topic as a consumer group of its own. Runs without Ray."""

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from infra.assembly import ledger_of, registry_of, utc_now
from infra.database import connect
from infra.labels.feed import label_feed
from ingest.kafka import KafkaSource, group_id
from schemas.errors import FencedError
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch, Partition
from schemas.protocols import Advance, Tally
from scorer.globals import GlobalTable
from trainer.learner import Learner, StepReport

_SMOOTH = 0.9
"""Weight of the past in the losses shown: one step's loss jumps."""


class TrainerService:
    """Learns from everything the shards score; training lag never slows scoring.

    Its offsets stand in the same ledger under ``<monitor>.trainer``: a restart goes on behind what was learned, and
    only the windows that were in memory are lost to learning.
    """

    def __init__(self, monitor: Monitor) -> None:
        layout, engine = Layout(monitor), connect(monitor.database.url)
        member = f"{monitor.monitor}-trainer-0"
        kafka = monitor.kafka.model_copy(update={"group_id": f"{group_id(monitor)}-trainer"})
        reading = Layout(monitor.model_copy(update={"kafka": kafka}))
        self._source = KafkaSource(reading, utc_now, group_instance_id=member)
        self._ledger = ledger_of(monitor, engine, f"{monitor.monitor}.trainer", member)
        self._registry = registry_of(monitor, engine)
        labelled = monitor.topics.labels is not None
        self._learner = Learner(layout, monitor.model.seed, self._registry, labelled=labelled, hurried=labelled)
        self._labels = label_feed(layout, engine, self._learner)
        self._table = GlobalTable(layout)
        self._offsets: dict[Partition, int] = {}
        self._losses: dict[str, float] = {}
        self._refused = 0
        self._stop = threading.Event()

    def adopt(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Go on where learning stood."""
        committed = {partition: self._ledger.acquire(partition).committed for partition in partitions}
        self._offsets |= {partition: max(offset, 0) for partition, offset in committed.items()}
        return committed

    def release(self, partitions: Sequence[Partition]) -> None:
        """Another trainer goes on."""
        for partition in partitions:
            self._offsets.pop(partition, None)
            self._ledger.release(partition)

    def serve(self) -> None:
        """Learn until stopped."""
        try:
            for batch in self._source.batches(self):
                self._table.add(self._source.globals())
                if batch is not None:
                    self._learn(batch)
                self._teach()
                if self._stop.is_set():
                    break
        finally:
            self._source.close()
            if self._labels is not None:
                self._labels.close()

    def status(self) -> dict[str, object]:
        """Steps, smoothed per-task losses and lag."""
        return {
            "events": self._learner.events,
            "steps": self._learner.steps,
            "refused": self._refused,
            "losses": dict(self._losses),
            "private": [task for task, standing in self._learner.sharing.items() if standing.path == "private"],
            "lag": sum(self._source.lag().values()),
            "labels": {} if self._labels is None else self._labels.counts(),
            "pid": os.getpid(),
        }

    def stop(self) -> None:
        """Ask `serve` to return after the batch in hand."""
        self._stop.set()

    def _learn(self, batch: Batch) -> None:
        joined = replace(batch, values=self._table.join(batch.time_ms, batch.values))
        self._note(self._learner.observe(joined))
        if self._labels is not None:
            self._labels.observe(joined)
        self._learner.publish_if_proved(self._registry)
        self._advance(batch)

    def _teach(self) -> None:
        if self._labels is not None:
            reports = self._learner.teach(self._labels.drain())
            self._note(reports)
            self._labels.report(reports)

    def _note(self, reports: Sequence[StepReport]) -> None:
        for report in reports:
            self._refused += report.refused is not None
            for task, loss in report.losses.items():
                self._losses[task] = _SMOOTH * self._losses.get(task, loss) + (1 - _SMOOTH) * loss

    def _advance(self, batch: Batch) -> None:
        """Dead letters are the shards' to write; here every record merely counts as read."""
        advances = [
            Advance(partition, self._offsets[partition], offset, Tally(accepted=offset - self._offsets[partition]), 0)
            for partition, offset in zip(batch.partitions, batch.next_offsets, strict=True)
            if partition in self._offsets and offset > self._offsets[partition]
        ]
        try:
            self._ledger.commit([], advances)
        except FencedError:
            self.release([advance.partition for advance in advances])
            return
        self._offsets |= {advance.partition: advance.next_offset for advance in advances}
