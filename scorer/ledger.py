"""The ledger: alerts, offsets and model version in one transaction, fenced per partition by an epoch.

Nothing is lost or doubled because a partition's row moves from `from_offset` to `next_offset` in the very
transaction that writes its alerts; Kafka's own committed offsets are only a hint.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from operator import attrgetter
from sqlite3 import SQLITE_BUSY, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR, SQLITE_LOCKED
from typing import NoReturn, TypeVar

import structlog
from sqlalchemy import Connection, Engine, delete, func, insert, select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from schemas.alert import Alert
from schemas.errors import FencedError, LedgerError
from schemas.observation import Partition
from schemas.protocols import AS_CONFIGURED, Advance, Position, Swap, Tally
from schemas.statements import (
    ADVANCE,
    KEY,
    LOCK,
    PARTITIONS,
    SNAPSHOTS,
    TALLIES,
    UNSET,
    Row,
    add_event,
    alert_row,
    event_row,
    join_alert,
    record_swap,
    snapshots_of,
    swaps_of,
    take_partition,
    tally_values,
)
from scorer.shadow_rows import write_shadows

KEPT_SNAPSHOTS = 3
"""A torn newest snapshot must leave one to fall back on, and that one may be being read."""

_LOG = structlog.get_logger(__name__)
_PATIENCE = timedelta(seconds=60)
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.05, 2.0
_SQLITE_PASSING = {SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL, SQLITE_IOERR, SQLITE_CANTOPEN}

Result = TypeVar("Result")
Wait = Callable[[float], None]
Fence = Callable[[Connection], None]
"""Asked within a transaction: raises FencedError where it must not be."""


@dataclass(slots=True)
class SqlLedger:
    """`schemas.protocols.Ledger` on SQLite and PostgreSQL.

    Attributes:
        engine: of `infra.database.connect`: SQLite transactions must take the write lock when they begin.
        monitor, cluster: first parts of the partition's key.
        owner: who holds the lease, for people to read.
        clock: the time now, timezone-aware.
        lease: how long after a commit the owner counts as alive. Advisory: the epoch is what fences.
        topic_id: topic name -> its id in the cluster, so that a topic made anew starts afresh.
        wait: called with seconds before a failed transaction is tried again.
        patience: how long a transaction is retried, in sum of waits, before LedgerError.
        on_discard: called with snapshot files that no row names any more.
    """

    engine: Engine
    monitor: str
    cluster: str
    owner: str
    clock: Callable[[], datetime]
    lease: timedelta
    topic_id: Callable[[str], str]
    wait: Wait = time.sleep
    patience: timedelta = _PATIENCE
    on_discard: Callable[[Sequence[str]], None] = lambda _: None
    _held: dict[Partition, "_Standing"] = field(default_factory=dict, init=False)

    def acquire(self, partition: Partition) -> Position:
        """Take the partition: its epoch grows by one and older owners are refused from now on."""
        position, self._held[partition] = self._transact(lambda connection, _: self._acquire(connection, partition))
        _LOG.info("partition acquired", partition=str(partition), epoch=position.epoch, offset=position.committed)
        return position

    def release(self, partition: Partition) -> None:
        """Forget the partition here; commits for it are refused until it is acquired again."""
        self._held.pop(partition, None)

    def commit(self, alerts: Sequence[Alert], advances: Sequence[Advance]) -> None:
        """Write alerts and advances, all or nothing.

        Raises:
            FencedError: a partition is not held here, or a newer owner has taken it.
            LedgerError: an advance does not start where the ledger stands, or the database failed for good.
        """
        partitions = sorted({a.partition for a in advances} | {a.partition for a in alerts})
        if not partitions:
            return
        _check(advances)
        step = _Step(alerts, sorted(advances, key=attrgetter("partition")), self.clock())
        discarded = self._transact(lambda connection, attempt: self._commit(connection, attempt, partitions, step))
        for advance in advances:
            self._held[advance.partition] = self._held[advance.partition].after(advance)
        if discarded:
            self.on_discard(discarded)

    def fence(self, partitions: Sequence[Partition], epoch: int) -> Fence:
        """A check for transactions that go with this ledger's: nobody takes the partitions over until they end.

        It raises FencedError when somebody has, and so bears a later epoch.
        """
        wanted = self._wanted(partitions)

        def check(connection: Connection) -> None:
            newest = max((row.epoch for row in connection.execute(LOCK, wanted)), default=epoch)
            if newest > epoch:
                raise FencedError(f"partitions of {self.monitor}: epoch is {newest}; expected at most {epoch}")

        return check

    def totals(self) -> Tally:
        """What became of all records of this monitor so far, over every partition it ever had."""
        columns = [func.coalesce(func.sum(PARTITIONS.c[name]), 0) for name in TALLIES]
        query = select(*columns).where(PARTITIONS.c.monitor == self.monitor)
        reader = self.engine.execution_options(reading=True)
        row = transact(reader, lambda connection, _: connection.execute(query).one(), self.wait, self.patience)
        return Tally(*(int(value) for value in row))

    def _transact(self, work: Callable[[Connection, int], Result]) -> Result:
        return transact(self.engine, work, self.wait, self.patience)

    def _key(self, partition: Partition) -> Row:
        values = (self.monitor, self.cluster, partition.topic, self.topic_id(partition.topic), partition.number)
        return dict(zip(KEY, values, strict=True))

    def _wanted(self, partitions: Sequence[Partition]) -> Row:
        """Whose rows `LOCK` locks."""
        wanted = [(each.topic, self.topic_id(each.topic), each.number) for each in partitions]
        return {"monitor": self.monitor, "cluster": self.cluster, "wanted": wanted}

    def _acquire(self, connection: Connection, partition: Partition) -> "tuple[Position, _Standing]":
        now, key = self.clock(), self._key(partition)
        tally = dict.fromkeys(TALLIES, 0)
        row = key | tally | {"offset": UNSET, "epoch": 1, "owner": self.owner[:128], "model_version": 0}
        row |= {"lease_until": now + self.lease, "updated_at": now}
        standing = _Standing(*connection.execute(take_partition(connection.dialect.name), row).one())
        position = Position(
            epoch=standing.epoch,
            committed=standing.offset,
            snapshots=tuple((row.file, row.offset) for row in connection.execute(snapshots_of(key))),
            swaps=read_swaps(connection, key),
        )
        return position, replace(
            standing, strictness=position.swaps[-1].strictness if position.swaps else AS_CONFIGURED
        )

    def _commit(
        self, connection: Connection, attempt: int, partitions: Sequence[Partition], step: "_Step"
    ) -> list[str]:
        if attempt and step.stands_in(self._lock(connection, partitions)):
            return []  # the connection died after COMMIT had been obeyed
        keys = {advance.partition: self._key(advance.partition) for advance in step.advances}
        if unmoved := [partition for partition in partitions if partition not in keys]:
            self._lock(connection, unmoved)
        if self._advance(connection, keys, step) < len(keys):
            self._refuse(connection, partitions, step)
        _write_swaps(connection, keys, step, self._held)
        _write_alerts(connection, step)
        write_shadows(connection, keys, step.advances)
        return _write_snapshots(connection, keys, step)

    def _advance(self, connection: Connection, keys: Mapping[Partition, Row], step: "_Step") -> int:
        """Move the rows that are held and stand where the step starts, in one order for all owners; how many did."""
        until = {"lease_until": step.now + self.lease, "updated_at": step.now}
        rows = [
            keys[advance.partition]
            | tally_values(advance.tally)
            | {"epoch": held.epoch, "from_offset": advance.from_offset, "offset": advance.next_offset}
            | {"model_version": advance.version, **until}
            | {"achieved": {name: each.told() for name, each in advance.achieved.items()} or None}
            for advance in step.advances
            if (held := self._held.get(advance.partition)) is not None
        ]
        if not rows:
            return 0
        return connection.execute(
            ADVANCE, [{f"b_{name}": value for name, value in row.items()} for row in rows]
        ).rowcount

    def _refuse(self, connection: Connection, partitions: Sequence[Partition], step: "_Step") -> NoReturn:
        """Say why a step cannot be taken."""
        standing = self._lock(connection, partitions)
        for advance in step.advances:
            _check_start(advance, standing[advance.partition].offset)
        raise LedgerError(f"commit: got {len(step.advances)} advances; expected each to move one partition's row")

    def _lock(self, connection: Connection, partitions: Sequence[Partition]) -> dict[Partition, "_Standing"]:
        """Lock the rows in one order for all owners and compare epochs. Raises FencedError."""
        found = {
            Partition(row.topic, row.partition): _Standing(row.offset, row.epoch, row.model_version)
            for row in connection.execute(LOCK, self._wanted(partitions))
        }
        for partition in partitions:
            held, stands = self._held.get(partition), found.get(partition)
            if held is None or stands is None or stands.epoch != held.epoch:
                seen = "none" if stands is None else stands.epoch
                expected = "one acquired here" if held is None else held.epoch
                raise FencedError(f"partition {partition}: epoch is {seen}; expected {expected}")
        return found


@dataclass(frozen=True, slots=True)
class _Standing:
    offset: int
    epoch: int
    version: int
    strictness: Mapping[str, float] = field(default_factory=dict)

    def after(self, advance: Advance) -> "_Standing":
        """Where the row stands once the step was taken."""
        return replace(self, offset=advance.next_offset, version=advance.version, strictness=advance.strictness)

    def scores_as(self, advance: Advance) -> bool:
        """Does the log of swaps say already how the step was scored?"""
        same = (self.version, self.strictness) == (advance.version, advance.strictness)
        return same and self.offset != UNSET


@dataclass(frozen=True, slots=True)
class _Step:
    alerts: Sequence[Alert]
    advances: Sequence[Advance]
    now: datetime

    def stands_in(self, standing: Mapping[Partition, _Standing]) -> bool:
        """Has this very step been written? Asked on a retry only, the epoch being ours: nobody else moved the rows."""
        moved = [a for a in self.advances if a.next_offset != a.from_offset]
        return bool(moved) and all(standing[a.partition].offset == a.next_offset for a in moved)


def transact(
    engine: Engine, work: Callable[[Connection, int], Result], wait: Wait = time.sleep, patience: timedelta = _PATIENCE
) -> Result:
    """Run `work(connection, attempt)` in one transaction; when the database fails in passing, wait and run it again.

    `work` may have been committed by the attempt before: a connection can die after COMMIT was obeyed.

    Raises:
        LedgerError: the database refused, or `patience` (the sum of waits) is used up.
    """
    waited, attempt = 0.0, 0
    while True:
        try:
            with engine.begin() as connection:
                return work(connection, attempt)
        except (DBAPIError, PoolTimeoutError) as error:
            cause = _cause(error)
            if not _passing(error) or waited >= patience.total_seconds():
                raise LedgerError(f"transaction failed after {attempt + 1} tries: {cause}") from error
            seconds = min(_FIRST_WAIT_SECONDS * 2**attempt, _LONGEST_WAIT_SECONDS)
            _LOG.warning("transaction failed, will be tried again", attempt=attempt + 1, seconds=seconds, cause=cause)
        wait(seconds)
        waited, attempt = waited + seconds, attempt + 1


def _passing(error: DBAPIError | PoolTimeoutError) -> bool:
    """May the same transaction succeed later? Connection lost, deadlock, lock timeout, disk full, server away."""
    if isinstance(error, PoolTimeoutError) or error.connection_invalidated:
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(error, OperationalError) and (code is None or code & 0xFF in _SQLITE_PASSING)


def _cause(error: DBAPIError | PoolTimeoutError) -> str:
    """The driver's first line: its details would quote rows, and rows name patients."""
    if isinstance(error, PoolTimeoutError):
        return "no connection became free"
    diagnosis = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return f"{type(error.orig).__name__}: {diagnosis or str(error.orig).strip().partition(chr(10))[0]}"


def _check(advances: Sequence[Advance]) -> None:
    if len({advance.partition for advance in advances}) < len(advances):
        raise LedgerError("commit: got two advances of one partition; expected one each")
    for advance in advances:
        if advance.next_offset < advance.from_offset:
            raise LedgerError(
                f"partition {advance.partition}: commit ends at offset {advance.next_offset}; "
                f"expected {advance.from_offset} or more"
            )


def _check_start(advance: Advance, stored: int) -> None:
    if stored not in {UNSET, advance.from_offset}:
        raise LedgerError(
            f"partition {advance.partition}: commit starts at offset {advance.from_offset}; expected {stored}"
        )


def _write_swaps(
    connection: Connection, keys: Mapping[Partition, Row], step: _Step, standing: Mapping[Partition, _Standing]
) -> None:
    rows = [
        keys[a.partition]
        | {"offset": a.from_offset, "version": a.version, "strictness": dict(a.strictness), "recorded_at": step.now}
        for a in step.advances
        if not standing[a.partition].scores_as(a)
    ]
    if rows:
        connection.execute(record_swap(connection.dialect.name), rows)


def read_swaps(connection: Connection, key: Row) -> tuple[Swap, ...]:
    """A partition's swaps, ascending."""
    rows = connection.execute(swaps_of(key))
    return tuple(Swap(row.offset, row.version, row.strictness) for row in rows)


def _write_snapshots(connection: Connection, keys: Mapping[Partition, Row], step: _Step) -> list[str]:
    """Record snapshots; return the files of those pruned."""
    discarded: list[str] = []
    for advance in step.advances:
        if advance.snapshot is None:
            continue
        file, offset = advance.snapshot
        key = keys[advance.partition]
        connection.execute(insert(SNAPSHOTS), key | {"file": file, "offset": offset, "created_at": step.now})
        rows = connection.execute(snapshots_of(key)).all()
        kept, old = rows[:KEPT_SNAPSHOTS], rows[KEPT_SNAPSHOTS:]
        if old:
            connection.execute(delete(SNAPSHOTS).where(SNAPSHOTS.c.id.in_([row.id for row in old])))
            discarded.extend({row.file for row in old} - {row.file for row in kept})
    return discarded


def _write_alerts(connection: Connection, step: _Step) -> None:
    if not step.alerts:
        return
    named = [(alert.id, alert) for alert in step.alerts]
    rows = [alert_row(name, alert, step.now) for name, alert in named]
    connection.execute(join_alert(connection.dialect.name), rows)
    connection.execute(add_event(connection.dialect.name), [event_row(*pair, step.now) for pair in named])
