"""Alerts for people and notebooks: the database's rows as pandas DataFrames.

    from scorer.alerts import alerts
    alerts(since="2026-01-31T08:00Z", severity="warning")

Every function takes `url`, the database's; left out, it is the environment's DATABASE_URL, else the embedded one.
Times are timezone-aware UTC.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import pandas as pd
from sqlalchemy import Connection, Select, create_engine, func, select
from sqlalchemy.exc import DBAPIError

from schemas.alert import Phase
from schemas.components import DatabaseSettings, Severity
from schemas.database import masked, parse_url
from schemas.errors import InputError, StackError
from schemas.statements import ALERTS, EVENTS

__all__ = ["alert", "alerts", "events", "watch"]

Time = datetime | str
"""A timezone-aware datetime, or ISO 8601 text, which is UTC where it names no zone."""

_ALERT_TIMES = ("started_at", "peak_at", "ended_at", "event_time", "known_at")
_COMMIT_SPREAD = timedelta(seconds=60)
"""Two owners may commit in another order than that of `known_at`: a watcher looks back this far."""
_Choice = TypeVar("_Choice", bound=StrEnum)
_Query = Select[*tuple[object, ...]]


def alerts(
    since: Time | None = None,
    until: Time | None = None,
    entity: str | None = None,
    monitor: str | None = None,
    severity: str | None = None,
    phase: str | None = None,
    limit: int | None = None,
    url: str | None = None,
) -> pd.DataFrame:
    """Alerts, one a row as it stands now, newest event first.

    Args:
        since: event time of the latest transition, included.
        until: the same, excluded.
        entity: one entity's only.
        monitor: one monitor's only.
        severity: "info", "warning" or "critical": this bad or worse.
        phase: "firing" or "resolved".
        limit: at most so many.
        url: the database.

    Returns:
        Columns as in the table `alerts`. `score` and `reasons` (a list of ``{signal, observed, expected, evidence}``
        in raw units) are those of the alert's worst moment.

    Raises:
        InputError: an argument is not one of the values above.
        StackError: there is no database, or it cannot be read.
    """
    query = _matching(since, until, entity, monitor, severity, phase)
    query = query.order_by(ALERTS.c.event_time.desc(), ALERTS.c.id).limit(limit)
    with reading(url) as connection:
        return _frame(connection, query, _ALERT_TIMES)


def alert(alert_id: str, url: str | None = None) -> pd.Series:
    """One alert, by column. Raises InputError when there is none of that id, StackError as `alerts` does."""
    with reading(url) as connection:
        found = _frame(connection, select(ALERTS).where(ALERTS.c.id == alert_id), _ALERT_TIMES)
    if found.empty:
        raise InputError(f"alert {alert_id}: unknown; expected an id that `alerts list` shows")
    return found.iloc[0]


def events(alert_id: str, url: str | None = None) -> pd.DataFrame:
    """Every transition of one alert, oldest first; none for an unknown id. Raises StackError as `alerts` does."""
    query = select(EVENTS).where(EVENTS.c.alert_id == alert_id).order_by(EVENTS.c.event_time, EVENTS.c.offset)
    with reading(url) as connection:
        return _frame(connection, query, ("event_time", "recorded_at"))


def watch(
    since: Time | None = None,
    entity: str | None = None,
    monitor: str | None = None,
    severity: str | None = None,
    url: str | None = None,
    every: timedelta = timedelta(seconds=1),
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[pd.DataFrame]:
    """Yield alerts as they are raised, for ever: one frame, oldest first, each time there are new ones.

    Begins with those that stand at or after `since`; without it, with the first one raised from now on.
    Raises as `alerts` does.
    """
    query = _matching(since, None, entity, monitor, severity, None)
    query = query.order_by(ALERTS.c.known_at, ALERTS.c.event_time, ALERTS.c.id)
    reached: datetime | None = None
    seen: dict[str, datetime] = {}
    if since is None:
        with reading(url) as connection:
            reached = connection.execute(select(func.max(ALERTS.c.known_at))).scalar()
            seen = _known(_frame(connection, _recent(query, reached), _ALERT_TIMES))
    while True:
        with reading(url) as connection:
            found = _frame(connection, _recent(query, reached), _ALERT_TIMES)
        fresh = found[~found["id"].isin(list(seen))].reset_index(drop=True)
        if not fresh.empty:
            seen = _known(found)
            reached = max(seen.values())
            yield fresh
        wait(every.total_seconds())


def _recent(query: _Query, reached: datetime | None) -> _Query:
    return query if reached is None else query.where(ALERTS.c.known_at >= reached - _COMMIT_SPREAD)


def _known(frame: pd.DataFrame) -> dict[str, datetime]:
    return dict(zip(frame["id"], frame["known_at"].dt.to_pydatetime(), strict=True))


def _matching(
    since: Time | None,
    until: Time | None,
    entity: str | None,
    monitor: str | None,
    severity: str | None,
    phase: str | None,
) -> _Query:
    query: _Query = select(ALERTS)
    if since is not None:
        query = query.where(ALERTS.c.event_time >= _time("since", since))
    if until is not None:
        query = query.where(ALERTS.c.event_time < _time("until", until))
    if entity is not None:
        query = query.where(ALERTS.c.entity == entity)
    if monitor is not None:
        query = query.where(ALERTS.c.monitor == monitor)
    if severity is not None:
        least = _choice("severity", severity, Severity).rank
        query = query.where(ALERTS.c.severity.in_([level.value for level in Severity if level.rank >= least]))
    if phase is not None:
        query = query.where(ALERTS.c.phase == _choice("phase", phase, Phase).value)
    return query


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


@contextmanager
def reading(url: str | None) -> Iterator[Connection]:
    """A connection for reading: unlike `infra.database.connect` it makes no database where there is none.

    Raises StackError when there is no database, or it cannot be read.
    """
    chosen = url or os.environ.get("DATABASE_URL") or DatabaseSettings().url
    parsed = parse_url(chosen)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        raise StackError(f"database {masked(chosen)}: there is no such file; expected one that `bellwether run` made")
    engine = create_engine(parsed, hide_parameters=True)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        raise StackError(f"database {masked(chosen)}: cannot be read: {reason}") from error
    finally:
        engine.dispose()


def _frame(connection: Connection, query: _Query, times: tuple[str, ...]) -> pd.DataFrame:
    result = connection.execute(query)
    frame = pd.DataFrame(result.all(), columns=list(result.keys()))
    for column in times:
        frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[us, UTC]")
    return frame
