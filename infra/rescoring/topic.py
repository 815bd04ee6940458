"""What a monitor's shards have scored of its topic, to be scored again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import Connection, and_, select

from infra.assembly import utc_now
from ingest.cluster import cluster_of
from ingest.lookback import batches_between, globals_of
from schemas.alert import Alert
from schemas.errors import InputError
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch, DeadLetter, GlobalRow, Partition, Ranges
from schemas.protocols import Advance, Owner, Position
from schemas.silence import SilenceKind
from schemas.statements import KEY, PARTITIONS, Row, snapshots_of
from scorer.ledger import read_swaps

CLOCKED = SilenceKind.STOPPED.value
"""Kind of alert that a clock may raise, while no row comes: it is no part of what rows bring about."""
_SPAN = 2_000
"""Offsets of a partition that are read together."""


def begins_of(connection: Connection, monitor: Monitor, *, from_snapshot: bool) -> dict[Partition, Position]:
    """Where the second scoring of each partition begins; versions are the swap log's until where the shards stand.

    Args:
        connection: to the monitor's database.
        monitor: whose topic.
        from_snapshot: begin at each partition's oldest snapshot, not at the first row that it ever scored.

    Raises:
        InputError: nothing was scored yet, or there is no snapshot.
        StackError: the broker cannot be asked.
    """
    stands = _standing(connection, monitor)
    return {partition: _begin(connection, row, from_snapshot=from_snapshot) for partition, row in stands.items()}


def _standing(connection: Connection, monitor: Monitor) -> dict[Partition, Row]:
    """Each partition's row in the ledger."""
    cluster, topic = cluster_of(monitor.kafka.bootstrap_servers), monitor.topics.observations
    wanted = {"monitor": monitor.monitor, "cluster": cluster.id, "topic": topic, "topic_id": cluster.topic_id(topic)}
    query = select(PARTITIONS).where(and_(*(PARTITIONS.c[name] == value for name, value in wanted.items())))
    found = {Partition(topic, row["partition"]): dict(row) for row in connection.execute(query).mappings()}
    scored = {each: row for each, row in found.items() if row["offset"] > 0}
    if not scored:
        raise InputError(f"monitor {monitor.monitor}: got no scored row of topic {topic}; expected a run before")
    return scored


def _begin(connection: Connection, row: Row, *, from_snapshot: bool) -> Position:
    key, stands = {name: row[name] for name in KEY}, cast("int", row["offset"])
    swaps = read_swaps(connection, key)
    snapshots = tuple((each.file, each.offset) for each in connection.execute(snapshots_of(key)))[-1:]
    if not from_snapshot:
        return Position(0, min(swap.offset for swap in swaps), (), swaps, logged=stands)
    if not snapshots:
        raise InputError(f"partition {row['topic']}/{row['partition']}: got no snapshot; expected one to begin from")
    return Position(0, snapshots[0][1], snapshots, swaps, logged=stands)


@dataclass(slots=True)
class Kept:
    """`schemas.protocols.Ledger` that writes nothing down: it keeps what would be raised, and what shadows add."""

    begins: Mapping[Partition, Position]
    alerts: list[Alert] = field(default_factory=list)
    advances: list[Advance] = field(default_factory=list)

    def acquire(self, partition: Partition) -> Position:
        """As it was begun with."""
        return self.begins[partition]

    def commit(self, alerts: Sequence[Alert], advances: Sequence[Advance]) -> None:
        """Keep them; of the advances those of a shadow."""
        self.alerts += [alert for alert in alerts if alert.kind != CLOCKED]
        self.advances += [advance for advance in advances if advance.shadow is not None]

    def release(self, partition: Partition) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class ScoredRows:
    """`schemas.protocols.Source` of the rows that shards have scored since the positions given."""

    layout: Layout
    begins: Mapping[Partition, Position]
    _known: Sequence[GlobalRow] = ()

    @property
    def read(self) -> Ranges:
        """[first, next) offset of each partition."""
        return {partition: (begin.committed, begin.logged) for partition, begin in self.begins.items()}

    def batches(self, owner: Owner) -> Iterator[Batch]:
        """All of them, partitions side by side.

        Raises InputError where the state of a snapshot cannot be had: what is scored without it says nothing.
        """
        self._known = globals_of(self.layout, utc_now)
        for partition, start in owner.adopt([*self.read]).items():
            begin = self.begins[partition]
            if begin.snapshots and start != begin.committed:
                raise InputError(
                    f"partition {partition}: got no snapshot of offset {begin.committed} that can be read (a running"
                    f" shard deletes its older ones); expected one: try again, or begin at the first row"
                )
        return batches_between(self.layout, utc_now, list(self._spans()))

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        """They were put aside then."""

    def globals(self) -> Sequence[GlobalRow]:
        """What is known of the world, once."""
        known, self._known = self._known, ()
        return known

    def close(self) -> None:
        """Nothing is open."""

    def _spans(self) -> Iterator[Ranges]:
        longest = max(end - first for first, end in self.read.values())
        for step in range(0, longest, _SPAN):
            yield {
                each: (first + step, min(first + step + _SPAN, end))
                for each, (first, end) in self.read.items()
                if first + step < end
            }
