"""A shard as a service: one member of the monitor's consumer group. Runs without Ray."""

import gc
import os
import threading

from infra.assembly import first_version, ledger_of, registry_of, shard_parts, shares_of, snapshot_policy, utc_now
from infra.database import connect
from infra.labels.judged import SqlVerdicts
from infra.meter import Meter
from ingest.kafka import KafkaSource
from schemas.layout import Layout
from schemas.monitor import Monitor
from scorer.run import run
from scorer.strictness import moved_by_verdicts


class ShardService:
    """One member of the monitor's consumer group: scores the partitions it is given.

    Args:
        monitor: what to watch.
        index: which of the monitor's shards this is; its group membership is static under that name.
    """

    def __init__(self, monitor: Monitor, index: int) -> None:
        layout, engine = Layout(monitor), connect(monitor.database.url, ask_first=False)
        member = f"{monitor.monitor}-shard-{index}"
        self._source = KafkaSource(layout, utc_now, group_instance_id=member)
        ledger, registry = ledger_of(monitor, engine, monitor.monitor, member), registry_of(monitor, engine)
        first_version(layout, registry)
        shares = shares_of(monitor)
        verdicts = SqlVerdicts(engine, monitor.monitor, moved_by_verdicts(layout))
        policy = snapshot_policy(monitor)
        shadows = registry if monitor.training.shadow_rows else None
        self._parts = shard_parts(
            layout, ledger, registry, policy, partitions=shares, verdicts=verdicts, shadows=shadows
        )
        self._meter = Meter()
        self._stop = threading.Event()

    def serve(self) -> None:
        """Score until stopped."""
        gc.freeze()  # what was imported and made lives as long: a collection that walks it all halts scoring for 0.1 s
        try:
            for scored in run(self._source, self._parts.shard, self._parts.pipeline):
                if scored is not None:
                    self._meter.add(scored)
                if self._stop.is_set():
                    break
        finally:
            self._source.close()

    def status(self) -> dict[str, object]:
        """Counts, lag, the ends of its partitions and model version."""
        ends = {each.number: end for each, end in self._source.ends().items()}
        return {**self._meter.snapshot(), "lag": sum(self._source.lag().values()), "ends": ends, "pid": os.getpid()}

    def stop(self) -> None:
        """Ask `serve` to return after the batch in hand."""
        self._stop.set()
