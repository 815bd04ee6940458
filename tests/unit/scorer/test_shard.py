"""A shard: what goes into its commits."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from infra.assembly import first_version, shard_parts
from infra.memory import MemoryLedger, MemoryRegistry
from schemas.alert import Alert
from schemas.observation import Partition
from schemas.protocols import Advance
from scorer.shard import SnapshotPolicy
from tests.laws.ward import batch, layout

PARTITIONS = (Partition("ward", 0), Partition("ward", 1))


class Remembered(MemoryLedger):
    """Keeps which partitions each commit wrote a snapshot of."""

    def __init__(self) -> None:
        super().__init__()
        self.snapshots: list[list[Partition]] = []

    def commit(self, alerts: Sequence[Alert], advances: Sequence[Advance]) -> None:
        super().commit(alerts, advances)
        self.snapshots.append([advance.partition for advance in advances if advance.snapshot])


def test_a_commit_waits_for_one_snapshot_at_most_and_partitions_take_turns(tmp_path: Path) -> None:
    ledger, registry = Remembered(), MemoryRegistry()
    first_version(layout(), registry)
    shard = shard_parts(layout(), ledger, registry, SnapshotPolicy(tmp_path, timedelta(0))).shard
    shard.adopt(PARTITIONS)
    rows = batch(np.array([0, 1]), np.full((2, 7), 80.0), np.array([0, 0]))
    rows = replace(rows, partition=np.array([0, 1]), offset=np.zeros(2, dtype=np.int64), partitions=PARTITIONS)
    for second in range(3):
        now = replace(rows, time_ms=rows.time_ms + 1000 * second, offset=rows.offset + second)
        shard.commit([], shard.score(replace(now, next_offsets=(second + 1, second + 1))))

    assert ledger.snapshots == [[PARTITIONS[0]], [PARTITIONS[1]], [PARTITIONS[0]]]
