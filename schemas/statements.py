"""The ledger's SQL, written once for SQLite and PostgreSQL, and the rows that go with it.

A transition *joins* its alert's row: severity and score only rise, time only moves on. Writing any transition again,
or an older one late, therefore changes nothing.
"""

import math
from dataclasses import asdict
from datetime import datetime
from functools import cache
from typing import cast
from uuid import UUID, uuid5

from sqlalchemy import Insert, Select, bindparam, case, or_, select, tuple_, update
from sqlalchemy import Table as SqlTable
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.elements import ColumnElement

from schemas.alert import Alert, Change, Explanation, Phase, SignalReason
from schemas.alerting import Severity
from schemas.protocols import Tally
from schemas.tables import AlertEventRow, AlertRow, PartitionRow, SnapshotRow, SwapRow, Table, VerdictRow
from schemas.versions import ShadowAlertRow, ShadowTallyRow

Row = dict[str, object]


def _table(model: type[Table]) -> SqlTable:
    return cast("SqlTable", model.__table__)


ALERTS, EVENTS, VERDICTS = _table(AlertRow), _table(AlertEventRow), _table(VerdictRow)
PARTITIONS, SNAPSHOTS, SWAPS = _table(PartitionRow), _table(SnapshotRow), _table(SwapRow)
SHADOW_TALLIES, SHADOW_ALERTS = _table(ShadowTallyRow), _table(ShadowAlertRow)
KEY = ("monitor", "cluster", "topic", "topic_id", "partition")
"""What names a partition's row."""
TALLIES = ("accepted", "partly", "dead_lettered", "duplicate")

_MOVED = ("offset", "model_version", "achieved", "lease_until", "updated_at")

LOCK = (
    select(PARTITIONS)
    .where(
        PARTITIONS.c.monitor == bindparam("monitor"),
        PARTITIONS.c.cluster == bindparam("cluster"),
        tuple_(PARTITIONS.c.topic, PARTITIONS.c.topic_id, PARTITIONS.c.partition).in_(
            bindparam("wanted", expanding=True)
        ),
    )
    .order_by(PARTITIONS.c.topic, PARTITIONS.c.partition)
    .with_for_update()
)
"""Rows of the `wanted` (topic, topic id, number), locked in one order for all owners: no deadlock."""

UNSET = -2
"""The offset of a partition nothing of which has been accounted for: read it from its beginning."""

ADVANCE = (
    update(PARTITIONS)
    .where(
        *(PARTITIONS.c[name] == bindparam(f"b_{name}") for name in (*KEY, "epoch")),
        or_(PARTITIONS.c.offset == UNSET, PARTITIONS.c.offset == bindparam("b_from_offset")),
    )
    .values(
        {name: PARTITIONS.c[name] + bindparam(f"b_{name}") for name in TALLIES}
        | {name: bindparam(f"b_{name}") for name in _MOVED}
    )
)
"""Moves a partition's row on and locks it; none where another owner has taken it, or it stands elsewhere."""


def matching(table: SqlTable, key: Row) -> list[ColumnElement[bool]]:
    """Conditions that pick one partition's rows."""
    return [table.c[name] == value for name, value in key.items()]


def snapshots_of(key: Row) -> Select[*tuple[object, ...]]:
    """A partition's snapshots, newest first."""
    return select(SNAPSHOTS).where(*matching(SNAPSHOTS, key)).order_by(SNAPSHOTS.c.offset.desc(), SNAPSHOTS.c.id.desc())


def swaps_of(key: Row) -> Select[*tuple[object, ...]]:
    """A partition's model swaps, ascending."""
    return select(SWAPS).where(*matching(SWAPS, key)).order_by(SWAPS.c.offset)


@cache
def take_partition(dialect: str) -> ReturningInsert[int, int, int]:
    """Insert the partition's row, or take it over with the next epoch; returns offset, epoch and model version."""
    statement = insert_into(dialect, PARTITIONS)
    taken = {name: statement.excluded[name] for name in ("owner", "lease_until", "updated_at")}
    return statement.on_conflict_do_update(
        index_elements=list(KEY), set_={"epoch": PARTITIONS.c.epoch + 1, **taken}
    ).returning(PARTITIONS.c.offset, PARTITIONS.c.epoch, PARTITIONS.c.model_version)


@cache
def record_swap(dialect: str) -> Insert:
    """Insert a model swap; a second one at the same offset replaces it, for the first served no record."""
    statement = insert_into(dialect, SWAPS)
    replaced = {name: statement.excluded[name] for name in ("version", "strictness", "recorded_at")}
    return statement.on_conflict_do_update(index_elements=[*KEY, "offset"], set_=replaced)


@cache
def join_alert(dialect: str) -> Insert:
    """Insert an alert, or join a later transition into it."""
    statement = insert_into(dialect, ALERTS)
    new, old = statement.excluded, ALERTS.c
    later, worse = new.event_time >= old.event_time, new.score > old.score
    taken = dict.fromkeys(("phase", "peak_at", "ended_at", "event_time"), later)
    of_worst = ("score", "probability", "summary", "reasons", "explanation", "model_version", "rung")
    taken |= dict.fromkeys(of_worst, worse)
    values = {name: case((condition, new[name]), else_=old[name]) for name, condition in taken.items()}
    values["severity"] = case((_rank(new.severity) > _rank(old.severity), new.severity), else_=old.severity)
    changes = or_(later, worse, _rank(new.severity) > _rank(old.severity))
    return statement.on_conflict_do_update(index_elements=["id"], set_=values, where=changes)


@cache
def add_event(dialect: str) -> Insert:
    """Insert a transition unless it is there."""
    return insert_into(dialect, EVENTS).on_conflict_do_nothing(index_elements=["id"])


def alert_row(name: str, alert: Alert, now: datetime) -> Row:
    """The row of alert `name` as this transition knows it."""
    resolved = alert.change is Change.RESOLVED
    return {
        "id": name,
        "monitor": alert.monitor,
        "entity": alert.entity,
        "task": alert.task,
        "kind": alert.kind,
        "severity": alert.severity.value,
        "phase": (Phase.RESOLVED if resolved else Phase.FIRING).value,
        "started_at": alert.started,
        "peak_at": alert.peak_time,
        "ended_at": alert.event_time if resolved else None,
        "event_time": alert.event_time,
        "known_at": now,
        "score": alert.score,
        "probability": alert.probability,
        "summary": alert.summary[:1000],
        "reasons": [_reason(reason) for reason in alert.reasons],
        "explanation": None if alert.explanation is None else _explanation(alert.explanation),
        "model_version": alert.model_version,
        "rung": alert.rung.value,
        "topic": alert.partition.topic,
        "partition": alert.partition.number,
        "offset": alert.offset,
    }


def event_row(name: str, alert: Alert, now: datetime) -> Row:
    """The row of one transition of alert `name`, with an id that a replay makes again."""
    return {
        "id": str(uuid5(UUID(name), f"{alert.change}/{alert.partition}/{alert.offset}")),
        "alert_id": name,
        "change": alert.change.value,
        "event_time": alert.event_time,
        "recorded_at": now,
        "severity": alert.severity.value,
        "score": alert.score,
        "model_version": alert.model_version,
        "partition": alert.partition.number,
        "offset": alert.offset,
    }


def shadow_alert_row(shadow: int, alert: Alert) -> Row:
    """The row of an alert that a version in the shadow would have opened."""
    return {
        "shadow": shadow,
        "entity": alert.entity,
        "task": alert.task,
        "kind": alert.kind,
        "severity": alert.severity.value,
        "started_at": alert.started,
        "topic": alert.partition.topic,
        "partition": alert.partition.number,
        "offset": alert.offset,
    }


def tally_values(tally: Tally) -> dict[str, int]:
    """A tally by column."""
    return {name: getattr(tally, name) for name in TALLIES}


def _reason(reason: SignalReason) -> Row:
    """JSON has no NaN and no infinity: PostgreSQL refuses them. What a rule took stands beside, where there is one."""
    numbers = {"observed": reason.observed, "expected": reason.expected, "evidence": reason.evidence}
    if (taken := reason.taken) is not None:
        numbers |= {"used": taken.value, "age_seconds": taken.age_seconds, "points": taken.points}
    finite = {name: None if value is None or not math.isfinite(value) else value for name, value in numbers.items()}
    named = {} if reason.statistic is None else {"statistic": reason.statistic}
    return {"signal": reason.signal, **finite, **named}


def _explanation(explanation: Explanation) -> Row:
    return {
        "task": explanation.task,
        "modalities": [asdict(part) for part in explanation.modalities],
        "nothing": explanation.nothing,
        "tasks": dict(explanation.tasks),
        "signals": [_reason(reason) for reason in explanation.signals],
    }


def _rank(column: ColumnElement[str]) -> ColumnElement[int]:
    return case({severity.value: severity.rank for severity in Severity}, value=column, else_=0)


def insert_into(dialect: str, table: SqlTable) -> sqlite.Insert | postgresql.Insert:
    """An insert that may say what a conflict does."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
