"""Raises a monitor's alerts anew, from the topic and the log of which version served when, and compares them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from sqlalchemy import Connection, and_, select

from infra.assembly import registry_of, shard_parts, shares_of, utc_now
from infra.database import database_of
from ingest.cluster import cluster_of
from ingest.lookback import batches_between, globals_of
from schemas.alert import JUDGED, Alert
from schemas.errors import InputError
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch, DeadLetter, GlobalRow, Partition, Ranges
from schemas.protocols import Advance, Owner, Position
from schemas.silence import SilenceKind
from schemas.statements import ALERTS, EVENTS, KEY, PARTITIONS, Row, event_row, snapshots_of
from scorer.ledger import read_swaps
from scorer.run import run
from scorer.shard import SnapshotPolicy

_SPAN = 2_000
"""Offsets of a partition that are read together."""
_ROUNDING = 1e-9
"""Of a score that a database kept as a number of its own."""
_CLOCKED = SilenceKind.STOPPED.value
"""Kind of alert that a clock may raise, while no row comes: it is no part of what rows bring about."""
_COMPARED = ("change", "event_time", "severity", "model_version", "partition", "offset")
Step = Mapping[str, Any]
"""One transition of one alert, a row of `alert_events`."""


@dataclass(frozen=True, slots=True)
class Rescored:
    """What came out; steps are transitions of alerts.

    Attributes:
        rows: that were scored again.
        alerts: that they belong to.
        same: steps that are what they were.
        others: that carry another time, severity, score or version.
        missing: that are in the database and were not taken again.
        added: that are not in the database.
    """

    rows: int
    alerts: int
    same: int
    others: Sequence[Step]
    missing: Sequence[Step]
    added: Sequence[Step]

    @property
    def all_same(self) -> bool:
        """Is every step what it was, and is there no other?"""
        return not (self.others or self.missing or self.added)


def rescore(monitor: Monitor, *, from_snapshot: bool = False) -> Rescored:
    """Score the topic again until where the shards stand, each row by the version that served it then.

    Args:
        monitor: whose topic and alerts.
        from_snapshot: begin at each partition's oldest snapshot, not at the first row that it ever scored.

    Raises:
        InputError: nothing was scored yet, there is no snapshot, or the topic no longer holds the rows.
        ModelError: the weights of a version that served are no longer kept.
        StackError: the database or the broker cannot be read.
    """
    torch.set_num_threads(1)
    engine = database_of(monitor)
    plain = monitor.model_copy(update={"training": monitor.training.model_copy(update={"shadow_rows": 0})})
    layout = Layout(plain)
    with engine.connect() as connection:
        stands = _standing(connection, monitor)
        ledger = _Ledger({each: _begin(connection, key, from_snapshot) for each, key in stands.items()})
    source = _Topic(layout, {each: (begin.committed, begin.logged) for each, begin in ledger.begins.items()})
    nowhere, shares = SnapshotPolicy(None, monitor.database.snapshot_every), shares_of(monitor)
    registry = registry_of(plain, engine)
    for version in sorted(set().union(*map(_served, ledger.begins.values()))):
        registry.load(registry.get(version))  # a shard would go on without it; what is compared must not
    parts = shard_parts(layout, ledger, registry, nowhere, partitions=shares)
    rows = sum(len(scored.predictions.batch) for scored in run(source, parts.shard, parts.pipeline) if scored)
    taken = (event_row(alert.id, alert, utc_now()) for alert in ledger.alerts if alert.kind != _CLOCKED)
    now: dict[str, Step] = {str(row["id"]): row for row in taken}
    with engine.connect() as connection:
        then = _steps(connection, monitor, source.read)
    return _compared(rows, then, now)


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


def _begin(connection: Connection, row: Row, from_snapshot: bool) -> Position:
    """Where a partition's second scoring begins; until where it stands, versions are those of the swap log."""
    key, stands = {name: row[name] for name in KEY}, cast("int", row["offset"])
    swaps = read_swaps(connection, key)
    snapshots = tuple((each.file, each.offset) for each in connection.execute(snapshots_of(key)))[-1:]
    if not from_snapshot:
        return Position(0, min(swap.offset for swap in swaps), (), swaps, logged=stands)
    if not snapshots:
        raise InputError(f"partition {row['topic']}/{row['partition']}: got no snapshot; expected one to begin from")
    return Position(0, snapshots[0][1], snapshots, swaps, logged=stands)


def _served(begin: Position) -> set[int]:
    """Versions that scored rows of a partition from where it begins; 0 is none."""
    before = [swap for swap in begin.swaps if swap.offset <= begin.committed]
    return {swap.version for swap in (*before[-1:], *begin.swaps[len(before) :])} - {0}


def _steps(connection: Connection, monitor: Monitor, read: Ranges) -> dict[str, Step]:
    """What the shards wrote down of these offsets."""
    joined = select(EVENTS).join(ALERTS, ALERTS.c.id == EVENTS.c.alert_id)
    query = joined.where(
        ALERTS.c.monitor == monitor.monitor, EVENTS.c.change.not_in([change.value for change in JUDGED])
    )
    query = query.where(ALERTS.c.kind != _CLOCKED)
    topic = monitor.topics.observations
    found: dict[str, Step] = {}
    for row in connection.execute(query.where(ALERTS.c.topic == topic)).mappings():
        first, after = read.get(Partition(topic, row["partition"]), (0, 0))
        if first <= row["offset"] < after:
            found[row["id"]] = dict(row)
    return found


def _compared(rows: int, then: Mapping[str, Step], now: Mapping[str, Step]) -> Rescored:
    both = [(then[name], now[name]) for name in then if name in now]
    others = [after for before, after in both if not _alike(before, after)]
    missing = [step for name, step in then.items() if name not in now]
    added = [step for name, step in now.items() if name not in then]
    alerts = {step["alert_id"] for step in then.values()}
    return Rescored(rows, len(alerts), len(both) - len(others), others, missing, added)


def _alike(before: Step, after: Step) -> bool:
    near = abs(before["score"] - after["score"]) <= _ROUNDING * max(abs(before["score"]), 1.0)
    return near and all(before[name] == after[name] for name in _COMPARED)


@dataclass(slots=True)
class _Ledger:
    """`schemas.protocols.Ledger` that writes nothing down: it keeps what would be raised."""

    begins: Mapping[Partition, Position]
    alerts: list[Alert] = field(default_factory=list)

    def acquire(self, partition: Partition) -> Position:
        return self.begins[partition]

    def commit(self, alerts: Sequence[Alert], advances: Sequence[Advance]) -> None:
        del advances
        self.alerts += alerts

    def release(self, partition: Partition) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class _Topic:
    """`schemas.protocols.Source` of the rows within `read`, [first, next) of each partition."""

    layout: Layout
    read: Ranges
    _known: Sequence[GlobalRow] = ()

    def batches(self, owner: Owner) -> Iterator[Batch]:
        self._known = globals_of(self.layout, utc_now)
        owner.adopt([*self.read])
        return batches_between(self.layout, utc_now, list(self._spans()))

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        """They were put aside then."""

    def globals(self) -> Sequence[GlobalRow]:
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
