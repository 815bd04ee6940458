"""Alerts for people, notebooks and the command: the database's rows as pandas DataFrames, or as plain records.

    from scorer.alerts import alerts
    alerts(since="2026-01-31T08:00Z", severity="warning")

Every function takes `url`, the database's; left out, it is the environment's DATABASE_URL, else the embedded one.
Times are timezone-aware UTC. pandas takes as long to import as everything else here: only what returns a frame does.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Select, Table, create_engine, func, or_, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from schemas.alert import LEARNED, Judgement, Phase
from schemas.alerting import Severity
from schemas.budget import Achieved, as_written, pooled
from schemas.components import DatabaseSettings
from schemas.database import masked, parse_url
from schemas.discovered import DISCOVERIES, Discovered
from schemas.errors import InputError, StackError
from schemas.silence import TASK
from schemas.statements import ALERTS, EVENTS, PARTITIONS, VERDICTS
from schemas.tables import LabelSourceRow, UtcDateTime

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Wanted", "alert", "alerts", "events", "read_alert", "read_alerts", "read_events", "watch", "watch_alerts"]

Time = datetime | str
"""A timezone-aware datetime, or ISO 8601 text, which is UTC where it names no zone."""
Record = dict[str, Any]
"""One row by column."""

_COMMIT_SPREAD = timedelta(seconds=60)
"""Two owners may commit in another order than that of `known_at`: a watcher looks back this far."""
_TO_MIGRATE = "; expected this program's tables: `bellwether run` or `train` with this database makes and renews them"
_Choice = TypeVar("_Choice", bound=StrEnum)
_Query = Select[*tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts.

    Attributes:
        since: event time of the latest transition, included.
        until: the same, excluded.
        entity: one entity's only.
        monitor: one monitor's only.
        severity: "info", "warning" or "critical": this bad or worse.
        phase: "firing" or "resolved".
    """

    since: Time | None = None
    until: Time | None = None
    entity: str | None = None
    monitor: str | None = None
    severity: str | None = None
    phase: str | None = None

    def query(self) -> _Query:
        """Raises InputError: an attribute is not one of the values above."""
        query: _Query = select(ALERTS)
        if self.since is not None:
            query = query.where(ALERTS.c.event_time >= _time("since", self.since))
        if self.until is not None:
            query = query.where(ALERTS.c.event_time < _time("until", self.until))
        if self.entity is not None:
            query = query.where(ALERTS.c.entity == self.entity)
        if self.monitor is not None:
            query = query.where(ALERTS.c.monitor == self.monitor)
        if self.severity is not None:
            least = _choice("severity", self.severity, Severity).rank
            query = query.where(ALERTS.c.severity.in_([level.value for level in Severity if level.rank >= least]))
        if self.phase is not None:
            query = query.where(ALERTS.c.phase == _choice("phase", self.phase, Phase).value)
        return query


def alerts(
    since: Time | None = None,
    until: Time | None = None,
    entity: str | None = None,
    monitor: str | None = None,
    severity: str | None = None,
    phase: str | None = None,
    limit: int | None = None,
    url: str | None = None,
) -> "pd.DataFrame":
    """Alerts, one a row as it stands now, newest event first; chosen as by `Wanted`, at most `limit`.

    Returns:
        Columns as in the table `alerts`. `score` and `reasons` are those of the alert's worst moment; `reasons` is a
        list of ``{signal, observed, expected, evidence}`` in raw units, of a rule's alert with ``used`` (the value it
        took), ``age_seconds`` (above 0: carried forward) and ``points`` (of NEWS2) besides, else with ``statistic``.
        `rung` says who raised it: "network", "last good network" (an older version, served because a newer one was
        rolled back or could not be loaded), "detector" (the label-free score, which has no learned weights) or "rule";
        programs before wrote "model" and "rules". `explanation` says what the network looked at then: ``{task,
        modalities, nothing, tasks, signals}``.

    Raises:
        InputError: an argument is not one of the values that `Wanted` names.
        StackError: there is no database, or it cannot be read.
    """
    wanted = Wanted(since, until, entity, monitor, severity, phase)
    return _frame(ALERTS, read_alerts(wanted, limit, url))


def alert(alert_id: str, url: str | None = None) -> "pd.Series":
    """One alert, by column; of its id the beginning is enough, where no other begins so.

    Raises InputError when there is none of that id, StackError as `alerts` does.
    """
    return _frame(ALERTS, [read_alert(alert_id, url)]).iloc[0]


def events(alert_id: str, url: str | None = None) -> "pd.DataFrame":
    """Every transition of one alert, oldest first; none for an unknown id. Raises StackError as `alerts` does."""
    return _frame(EVENTS, read_events(alert_id, url))


def watch(
    since: Time | None = None,
    entity: str | None = None,
    monitor: str | None = None,
    severity: str | None = None,
    url: str | None = None,
    every: timedelta = timedelta(seconds=1),
    wait: Callable[[float], None] = time.sleep,
) -> "Iterator[pd.DataFrame]":
    """Yield alerts as they are raised, for ever: one frame, oldest first, each time there are new ones.

    Begins with those that stand at or after `since`; without it, with the first one raised from now on.
    Raises as `alerts` does.
    """
    wanted = Wanted(since, None, entity, monitor, severity)
    return (_frame(ALERTS, fresh) for fresh in watch_alerts(wanted, url, every, wait))


def read_alerts(wanted: Wanted, limit: int | None = None, url: str | None = None) -> list[Record]:
    """`alerts` as records."""
    query = wanted.query().order_by(ALERTS.c.event_time.desc(), ALERTS.c.id).limit(limit)
    with reading(url) as connection:
        return _records(connection, query)


def read_alert(alert_id: str, url: str | None = None) -> Record:
    """`alert` as a record. Raises InputError where several ids begin as `alert_id` does, too."""
    with reading(url) as connection:
        found = _records(connection, select(ALERTS).where(ALERTS.c.id == alert_id))
        if alert_id and not found:
            found = _records(connection, select(ALERTS).where(ALERTS.c.id.startswith(alert_id, autoescape=True)))
    if not found:
        raise InputError(f"alert {alert_id}: unknown; expected an id that `alerts list` shows, or how it begins")
    if len(found) > 1:
        raise InputError(f"alert {alert_id}: got {len(found)} whose id begins so; expected more of it")
    return found[0]


def read_events(alert_id: str, url: str | None = None) -> list[Record]:
    """`events` as records."""
    order = EVENTS.c.event_time, EVENTS.c.offset, EVENTS.c.recorded_at
    with reading(url) as connection:
        return _records(connection, select(EVENTS).where(EVENTS.c.alert_id == alert_id).order_by(*order))


def read_budgets(monitor: str | None = None, url: str | None = None) -> list[Record]:
    """What became of each alarm budget that is kept, or false discovery rate. Raises StackError as `alerts` does.

    Returns:
        `monitor`, `budget` (entity, group of a value, total; false discoveries), `asked`, `alarms` and `achieved` in
        the span of `asked`; of budgets `always`, alarms that none holds back, and whether there were more of those
        than were `asked`: `out_of_reach`; of false discoveries the share of the judged alerts that people called false.
    """
    query = select(PARTITIONS.c.monitor, PARTITIONS.c.achieved).where(PARTITIONS.c.achieved.is_not(None))
    if monitor is not None:
        query = query.where(PARTITIONS.c.monitor == monitor)
    kept: dict[str, list[dict[str, Achieved]]] = {}
    controlled: dict[str, list[Discovered]] = {}
    with reading(url) as connection:
        for name, achieved in connection.execute(query.order_by(PARTITIONS.c.monitor, PARTITIONS.c.updated_at.desc())):
            if DISCOVERIES in achieved:
                controlled.setdefault(name, []).append(Discovered.read(achieved[DISCOVERIES]))
            else:
                kept.setdefault(name, []).append({budget: Achieved.read(told) for budget, told in achieved.items()})
        called_false = {name: _called_false(connection, name) for name in controlled}
    budgets = [
        {"monitor": name, "budget": budget, "asked": as_written(budget, each.asked), "alarms": each.alarms}
        | {"achieved": each.rate, "always": each.always, "out_of_reach": each.out_of_reach}
        for name, told in kept.items()
        for budget, each in pooled(told).items()
    ]
    return budgets + [
        {"monitor": name, "budget": DISCOVERIES, "asked": f"at most {told[0].false:g}"}
        | {"alarms": sum(each.alarms for each in told), "achieved": called_false[name]}
        for name, told in controlled.items()
    ]


def _called_false(connection: Connection, monitor: str) -> float | None:
    """Of the learned score's alerts that the last word calls true or false, the share of false ones.

    None where nobody said so; what excluded authors said does not count.
    """
    excluded = select(LabelSourceRow.source).where(LabelSourceRow.monitor == monitor, LabelSourceRow.excluded)
    query = select(VERDICTS.c.alert_id, VERDICTS.c.verdict).join(ALERTS, ALERTS.c.id == VERDICTS.c.alert_id)
    query = query.where(ALERTS.c.monitor == monitor, ALERTS.c.kind == LEARNED, VERDICTS.c.author.not_in(excluded))
    last = {row.alert_id: row.verdict for row in connection.execute(query.order_by(VERDICTS.c.id))}
    said = [verdict for verdict in last.values() if verdict != Judgement.UNSURE]
    return said.count(Judgement.FALSE) / len(said) if said else None


def read_verdicts(alert_id: str, url: str | None = None) -> list[Record]:
    """What people said of one alert, oldest first."""
    query = select(VERDICTS).where(VERDICTS.c.alert_id == alert_id).order_by(VERDICTS.c.id)
    with reading(url) as connection:
        return _records(connection, query)


def read_feed(record: Record, url: str | None = None) -> list[Record]:
    """What failed of the entity's feed while an alert, a record of `read_alert`, lasted: alerts, oldest first.

    None for an alert that says itself that a feed failed.
    """
    if record["task"] == TASK:
        return []
    same = [ALERTS.c[name] == record[name] for name in ("monitor", "entity")]
    lasted = or_(ALERTS.c.ended_at.is_(None), ALERTS.c.ended_at >= record["started_at"])
    query = select(ALERTS).where(*same, ALERTS.c.task == TASK, lasted).order_by(ALERTS.c.started_at, ALERTS.c.id)
    if record["ended_at"] is not None:
        query = query.where(ALERTS.c.started_at <= record["ended_at"])
    with reading(url) as connection:
        return _records(connection, query)


def watch_alerts(
    wanted: Wanted,
    url: str | None = None,
    every: timedelta = timedelta(seconds=1),
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[list[Record]]:
    """`watch` as lists of records."""
    query = wanted.query().order_by(ALERTS.c.known_at, ALERTS.c.event_time, ALERTS.c.id)
    reached: datetime | None = None
    seen: dict[str, datetime] = {}
    if wanted.since is None:
        with reading(url) as connection:
            reached = connection.execute(select(func.max(ALERTS.c.known_at))).scalar()
            seen = _known(_records(connection, _recent(query, reached)))
    while True:
        with reading(url) as connection:
            found = _records(connection, _recent(query, reached))
        fresh = [record for record in found if record["id"] not in seen]
        if fresh:
            seen = _known(found)
            reached = max(seen.values())
            yield fresh
        wait(every.total_seconds())


def _recent(query: _Query, reached: datetime | None) -> _Query:
    return query if reached is None else query.where(ALERTS.c.known_at >= reached - _COMMIT_SPREAD)


def _known(records: list[Record]) -> dict[str, datetime]:
    return {record["id"]: record["known_at"] for record in records}


def _time(name: str, value: Time) -> datetime:
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError as error:
            raise InputError(f"{name}: got {value!r}; expected ISO 8601, as 2026-01-31T08:00Z") from error
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    if value.tzinfo is None:
        raise InputError(f"{name}: got naive datetime {value.isoformat()}; expected a timezone-aware one")
    return value


def _choice(name: str, value: str, choices: type[_Choice]) -> _Choice:
    try:
        return choices(value)
    except ValueError as error:
        raise InputError(f"{name}: got {value!r}; expected one of {', '.join(choices)}") from error


def database_url(url: str | None) -> str:
    """The database that is meant: as given, else the environment's, else the embedded one."""
    return url or os.environ.get("DATABASE_URL") or DatabaseSettings().url


@contextmanager
def reading(url: str | None) -> Iterator[Connection]:
    """A connection for reading: unlike `infra.database.connect` it makes no database where there is none.

    Raises StackError when there is no database, or it cannot be read.
    """
    chosen = database_url(url)
    parsed = parse_url(chosen)
    require_file(parsed)
    engine = create_engine(parsed, hide_parameters=True)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        advice = _TO_MIGRATE if _older(error) else ""
        raise StackError(f"database {masked(chosen)}: cannot be read: {reason}{advice}") from error
    finally:
        engine.dispose()


def _older(error: DBAPIError) -> bool:
    """Does a table or column not exist? The database was made empty, or by an older program."""
    missing = getattr(error.orig, "sqlstate", None) in {"42P01", "42703"}
    return missing or str(error.orig).startswith(("no such table", "no such column"))


def require_file(url: URL, named_in: str = "--database or DATABASE_URL") -> None:
    """Raise StackError where the URL is of an SQLite file that does not exist: opening it would make it.

    `named_in` is where people say which database is meant.
    """
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        expected = f"one made by `bellwether run` or `demo`, or the URL of another in {named_in}"
        raise StackError(f"no database at {url.database or 'memory'}; expected {expected}")


def _records(connection: Connection, query: _Query) -> list[Record]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _frame(table: Table, records: list[Record]) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - see the module's docstring

    frame = pd.DataFrame(records, columns=table.columns.keys())
    for column in table.columns:
        if isinstance(column.type, UtcDateTime):
            frame[column.name] = pd.to_datetime(frame[column.name], utc=True).astype("datetime64[us, UTC]")
    return frame
