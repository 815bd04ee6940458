"""Labels in SQL: every one received, once, what became of it, and whose are not learned from."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, bindparam, case, func, or_, select, update
from sqlalchemy import Table as SqlTable

from schemas.label import Annotation, Fate, Label, LabelStatus
from schemas.observation import Partition
from schemas.statements import ALERTS, Row, insert_into, matching
from schemas.tables import LabelRow, LabelSourceRow, VerdictRow
from scorer.ledger import Fence, transact

LABELS, SOURCES = (cast("SqlTable", model.__table__) for model in (LabelRow, LabelSourceRow))
_ORIGIN = ("monitor", "cluster", "topic", "topic_id", "partition", "offset")
_WAITING, _TAUGHT = LabelStatus.WAITING.value, LabelStatus.TAUGHT.value
_RECENT = 5_000
"""Labels that a source's reliability is read from again: ten times what it remembers of one."""

_AT_ONCE = 500
"""Rows that one statement names."""

Written = TypeVar("Written")
Believed = tuple[str, str, int, float]
"""Source, task, value, and the probability that the network gave to that before it learned it."""

_END = (
    update(LABELS)
    .where(*(LABELS.c[name] == bindparam(f"b_{name}") for name in _ORIGIN))
    .where(or_(LABELS.c.status == _WAITING, bindparam("b_status") == _TAUGHT))
    .values({name: bindparam(f"b_{name}") for name in ("status", "step", "belief", "rows_until")})
)
"""A rank that gave a label up must not deny that another one has taught it."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A label that was learned from.

    Attributes:
        number: of its row.
        step: in which it was.
        rows_until: offset after the last of its entity's rows that it was learned with; None: that was not kept.
        label: what it says.
    """

    number: int
    step: int
    rows_until: int | None
    label: Label


@dataclass(frozen=True, slots=True)
class SqlLabels:
    """One monitor's labels.

    Args:
        engine: of the database.
        monitor: whose labels.
        origin: id of the cluster and of the topic, so that a topic made anew starts afresh; asked once it stands.
        clock: the time now.
        fence: asked in each transaction that writes for a trainer: another one may have taken over.
    """

    engine: Engine
    monitor: str
    origin: Callable[[], tuple[str, str]]
    clock: Callable[[], datetime]
    fence: Fence = lambda _: None

    def receive(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """Write labels down, unless they are; those that nothing has become of yet are returned."""
        now = self.clock()
        rows = [self._key(each) | _said(each, now) for each in annotations]

        def write(connection: Connection) -> set[tuple[int, int]]:
            dialect = connection.dialect.name
            connection.execute(insert_into(dialect, LABELS).on_conflict_do_nothing(index_elements=list(_ORIGIN)), rows)
            return {open_ for partition in _by_partition(annotations) for open_ in self._open(connection, *partition)}

        waiting = self._write(write)
        return [each for each in annotations if (each.partition.number, each.offset) in waiting]

    def end(self, fates: Sequence[Fate]) -> None:
        """Write down what became of labels."""
        rows = [
            self._key(fate.annotation)
            | {"status": fate.status.value, "step": fate.step, "belief": fate.belief, "rows_until": fate.rows_until}
            for fate in fates
        ]
        bound = [{f"b_{name}": value for name, value in row.items()} for row in rows]
        self._write(lambda connection: connection.execute(_END, bound))

    def position(self, topic: str) -> dict[Partition, int]:
        """Of each partition the first offset whose label waits, else the one after the last that was received."""
        cluster, topic_id = self.origin()
        key: Row = {"monitor": self.monitor, "cluster": cluster, "topic": topic, "topic_id": topic_id}
        first_open = func.min(case((LABELS.c.status == _WAITING, LABELS.c.offset)))
        query = (
            select(LABELS.c.partition, func.coalesce(first_open, func.max(LABELS.c.offset) + 1))
            .where(*matching(LABELS, key))
            .group_by(LABELS.c.partition)
        )
        rows = transact(self._reader, lambda connection, _: connection.execute(query).all())
        return {Partition(topic, number): offset for number, offset in rows}

    def unlearn(self, after_step: int) -> None:
        """The steps after that one are lost: what they taught waits again."""
        mine = LABELS.c.monitor == self.monitor, LABELS.c.step > after_step
        undone = update(LABELS).where(*mine).values(status=_WAITING, step=None, belief=None, rows_until=None)
        self._write(lambda connection: connection.execute(undone))

    def taught(
        self, after_step: int, until_step: int, *, but_for: frozenset[str] = frozenset(), most: int | None = None
    ) -> list[Lesson]:
        """Labels that steps after the one, and until the other, learned from, in that order.

        Args:
            after_step: of the network.
            until_step: the same.
            but_for: sources whose labels are left out.
            most: how many of the newest; None: all.
        """
        mine = LABELS.c.monitor == self.monitor, LABELS.c.status == _TAUGHT
        then = LABELS.c.step > after_step, LABELS.c.step <= until_step
        query = (
            select(LABELS)
            .where(*mine, *then, LABELS.c.source.not_in(sorted(but_for)))
            .order_by(LABELS.c.step.desc(), LABELS.c.id.desc())
            .limit(most)
        )
        rows = transact(self._reader, lambda connection, _: connection.execute(query).mappings().all())
        return [Lesson(row["id"], row["step"], row["rows_until"], _label(row)) for row in reversed(rows)]

    def first_step(self, sources: frozenset[str]) -> int | None:
        """The first step that learned from one of these sources, if any did; what was disowned since counts too."""
        mine = LABELS.c.monitor == self.monitor, LABELS.c.source.in_(sources)
        query = select(func.min(LABELS.c.step)).where(*mine)
        found: int | None = transact(self._reader, lambda connection, _: connection.execute(query).scalar_one())
        return found

    def disown(self, lessons: Sequence[Lesson], status: LabelStatus) -> None:
        """What these taught is in no weights that serve any more."""
        numbers = [each.number for each in lessons]

        def write(connection: Connection) -> None:
            for first in range(0, len(numbers), _AT_ONCE):
                some = LABELS.c.id.in_(numbers[first : first + _AT_ONCE])
                connection.execute(update(LABELS).where(some).values(status=status.value))

        self._write(write)

    def beliefs(self) -> list[Believed]:
        """As `read_beliefs`."""
        return transact(self._reader, lambda connection, _: read_beliefs(connection, self.monitor))

    def excluded(self) -> frozenset[str]:
        """Sources whose labels are not learned from."""
        decisions = transact(self._reader, lambda connection, _: read_decisions(connection, self.monitor))
        return frozenset(source for source, decision in decisions.items() if decision["excluded"])

    def decide(self, source: str, *, excluded: bool, author: str, why: str | None) -> None:
        """From now on a source's labels are learned from, or not."""
        row: Row = {"monitor": self.monitor, "source": source, "excluded": excluded, "author": author[:128]}
        row |= {"why": None if why is None else why[:1000], "decided_at": self.clock()}

        def write(connection: Connection) -> None:
            statement = insert_into(connection.dialect.name, SOURCES)
            changed = {name: statement.excluded[name] for name in ("excluded", "author", "why", "decided_at")}
            connection.execute(
                statement.on_conflict_do_update(index_elements=["monitor", "source"], set_=changed), [row]
            )

        self._write(write)

    def _write(self, work: Callable[[Connection], Written]) -> Written:
        def fenced(connection: Connection, _: int) -> Written:
            self.fence(connection)
            return work(connection)

        return transact(self.engine, fenced)

    @property
    def _reader(self) -> Engine:
        return self.engine.execution_options(reading=True)

    def _key(self, annotation: Annotation) -> Row:
        cluster, topic_id = self.origin()
        topic, number = annotation.partition
        return dict(zip(_ORIGIN, (self.monitor, cluster, topic, topic_id, number, annotation.offset), strict=True))

    def _open(self, connection: Connection, first: Annotation, last_offset: int) -> Iterable[tuple[int, int]]:
        key = self._key(first)
        lowest = key.pop("offset")
        query = select(LABELS.c.partition, LABELS.c.offset).where(
            *matching(LABELS, key), LABELS.c.offset.between(lowest, last_offset), LABELS.c.status == _WAITING
        )
        return [(row.partition, row.offset) for row in connection.execute(query)]


def read_tallies(connection: Connection) -> dict[tuple[str, str], dict[str, int]]:
    """(monitor, source) -> what became of its labels -> how many."""
    columns = LABELS.c.monitor, LABELS.c.source
    query = select(*columns, LABELS.c.status, func.count()).group_by(*columns, LABELS.c.status).order_by(*columns)
    found: dict[tuple[str, str], dict[str, int]] = {}
    for monitor, source, status, count in connection.execute(query):
        found.setdefault((monitor, source), {})[status] = count
    return found


def read_judges(connection: Connection) -> dict[tuple[str, str], int]:
    """(monitor, who) -> verdicts on its alerts."""
    whose = ALERTS.c.monitor, VerdictRow.author
    query = select(*whose, func.count()).join(ALERTS, ALERTS.c.id == VerdictRow.alert_id)
    counted = connection.execute(query.group_by(*whose).order_by(*whose))
    return {(monitor, author): count for monitor, author, count in counted}


def read_decisions(connection: Connection, monitor: str) -> dict[str, Row]:
    """Source -> what was last decided of it, by column."""
    rows = connection.execute(select(SOURCES).where(SOURCES.c.monitor == monitor)).mappings()
    return {row["source"]: dict(row) for row in rows}


def read_beliefs(connection: Connection, monitor: str) -> list[Believed]:
    """Of the last labels that were taught, oldest first; of a source that was included again what it told since.

    Of those in refused steps nothing is believed either way, as while it runs.
    """
    columns = LABELS.c.source, LABELS.c.task, LABELS.c.value, LABELS.c.belief, LABELS.c.received_at
    mine = LABELS.c.monitor == monitor, LABELS.c.belief.is_not(None), LABELS.c.status != LabelStatus.REFUSED.value
    rows = connection.execute(select(*columns).where(*mine).order_by(LABELS.c.id.desc()).limit(_RECENT)).all()
    decisions = read_decisions(connection, monitor).items()
    since = {source: cast("datetime", each["decided_at"]) for source, each in decisions if not each["excluded"]}
    return [tuple(row[:4]) for row in reversed(rows) if row.source not in since or row[4] >= since[row.source]]


def _by_partition(annotations: Sequence[Annotation]) -> Iterable[tuple[Annotation, int]]:
    """Of each partition its first annotation and its last offset."""
    first: dict[Partition, Annotation] = {}
    last: dict[Partition, int] = {}
    for each in annotations:
        first.setdefault(each.partition, each)
        last[each.partition] = each.offset
    return [(annotation, last[partition]) for partition, annotation in first.items()]


def _said(annotation: Annotation, now: datetime) -> Row:
    label = annotation.label
    return {
        "entity": label.entity,
        "task": label.task,
        "value": label.value,
        "event_time": _moment(label.time_ms),
        "occurred_at": _moment(label.until_ms),
        "revealed_at": _moment(annotation.revealed_ms),
        "source": label.source,
        "received_at": now,
        "status": _WAITING,
    }


def _label(row: Mapping[Any, Any]) -> Label:
    time_ms, until_ms = _time_ms(row["event_time"]), _time_ms(row["occurred_at"])
    return Label(row["entity"], row["task"], time_ms, row["value"], until_ms, row["source"])


def _time_ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1_000)


def _moment(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else datetime.fromtimestamp(time_ms / 1_000, tz=UTC)
