"""The ledger on a real PostgreSQL: the same content as on SQLite, through cut connections and rival owners."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, event, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import PoolProxiedConnection

from infra.database import connect, migrate
from infra.registry import SqlRegistry
from infra.stack.postgres import create_database
from schemas.alert import Alert, Change, Rung, SignalReason
from schemas.alerting import Severity
from schemas.errors import FencedError
from schemas.observation import Partition
from schemas.protocols import Advance, Tally
from schemas.statements import ALERTS, EVENTS, PARTITIONS, SNAPSHOTS, SWAPS
from scorer.alerts import alerts
from scorer.ledger import SqlLedger

pytestmark = pytest.mark.service

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
WARD, OTHER = Partition("vitals", 0), Partition("vitals", 1)
OPENED = Alert(
    monitor="health",
    entity="bed 7",
    task="anomaly",
    kind="tail",
    started=NOW,
    change=Change.OPENED,
    severity=Severity.WARNING,
    event_time=NOW,
    peak_time=NOW,
    score=3.5,
    probability=0.9,
    reasons=(SignalReason("HR", 131.0, float("nan"), 4.5),),
    model_version=1,
    rung=Rung.NETWORK,
    partition=WARD,
    offset=4,
    summary="opened",
)
END = NOW + timedelta(minutes=9)
RESOLVED = replace(OPENED, change=Change.RESOLVED, event_time=END, score=0.2, offset=9)


@pytest.fixture
def database_url(postgres: str) -> str:
    """A fresh database on the server."""
    server, name = make_url(postgres), f"test_{uuid4().hex[:12]}"
    assert server.port is not None
    create_database(server.port, name)
    return server.set(database=name).render_as_string(hide_password=False)


def ledger_on(engine: Engine, owner: str = "a", wait: Callable[[float], None] = lambda _: None) -> SqlLedger:
    ledger = SqlLedger(engine, "health", "c1", owner, lambda: NOW, timedelta(seconds=15), lambda t: f"id of {t}", wait)
    ledger.acquire(WARD)
    return ledger


def step(start: int, end: int, file: str = "", version: int = 1) -> Advance:
    return Advance(WARD, start, end, Tally(accepted=end - start), version, snapshot=(file, end) if file else None)


def content(engine: Engine) -> list[list[tuple[object, ...]]]:
    with engine.connect() as connection:
        queries = (
            select(table).order_by(*table.primary_key) for table in (ALERTS, EVENTS, PARTITIONS, SNAPSHOTS, SWAPS)
        )
        return [[tuple(row) for row in connection.execute(query)] for query in queries]


def tell_a_story(ledger: SqlLedger) -> None:
    ledger.commit([OPENED], [step(-2, 5, "s1")])
    ledger.commit([replace(OPENED, change=Change.ESCALATED, severity=Severity.CRITICAL, offset=6)], [step(5, 8, "s2")])
    ledger.commit([RESOLVED, replace(OPENED, entity="bed 8")], [step(8, 12, "s3", version=2)])
    ledger.commit([OPENED, RESOLVED], [step(12, 12, "s4", version=2)])


def cut(url: str, backend: int) -> None:
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(False), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])


def test_both_databases_hold_the_same_after_the_same_commits(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    embedded = connect(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'bellwether.db'}")
    migrate(embedded)
    for each in (engine, embedded):
        tell_a_story(ledger_on(each))
    assert content(engine) == content(embedded)


@pytest.mark.parametrize("statement", range(6))
def test_a_connection_cut_at_any_statement_costs_nothing(engine: Engine, database_url: str, statement: int) -> None:
    waits: list[float] = []
    ledger = ledger_on(engine, wait=waits.append)
    seen: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def cut_once(connection: object, _cursor: object, sql: str, *_rest: object) -> None:
        seen.append(sql)
        if len(seen) == statement + 1:
            cut(database_url, connection.connection.dbapi_connection.info.backend_pid)  # type: ignore[attr-defined]

    ledger.commit([OPENED], [step(0, 10, "s")])
    told = content(engine)
    assert (len(waits), [len(rows) for rows in told], ledger.totals()) == (1, [1, 1, 1, 1, 1], Tally(accepted=10))


def test_a_connection_that_died_unasked_costs_one_more_try(engine: Engine, database_url: str) -> None:
    waits: list[float] = []
    ledger = ledger_on(connect(database_url, ask_first=False), wait=waits.append)
    ledger.commit([], [step(0, 10)])
    with ledger.engine.connect() as connection:
        backend = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
    cut(database_url, backend)
    ledger.commit([OPENED], [step(10, 20)])
    assert (len(waits), len(content(engine)[0]), ledger.totals()) == (1, 1, Tally(accepted=20))


@pytest.mark.parametrize("obeyed", [False, True])
def test_a_connection_cut_around_commit_writes_once(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch, *, obeyed: bool
) -> None:
    waits: list[float] = []
    ledger = ledger_on(engine, wait=waits.append)
    commit = engine.dialect.do_commit

    def cut_once(connection: PoolProxiedConnection) -> None:
        monkeypatch.setattr(engine.dialect, "do_commit", commit)
        if obeyed:
            commit(connection)
        cut(database_url, connection.dbapi_connection.info.backend_pid)  # type: ignore[union-attr]
        connection.cursor().execute("SELECT 1")

    monkeypatch.setattr(engine.dialect, "do_commit", cut_once)
    ledger.commit([OPENED], [step(0, 10)])
    assert (len(waits), [len(rows) for rows in content(engine)], ledger.totals()) == (
        1,
        [1, 1, 1, 0, 1],
        Tally(accepted=10),
    )


def test_a_zombie_is_refused_after_a_successor_took_over(engine: Engine, database_url: str) -> None:
    zombie = ledger_on(engine)
    rival = connect(database_url)
    successor = ledger_on(rival, "b")
    successor.commit([], [step(-2, 5)])
    with pytest.raises(FencedError):
        zombie.commit([OPENED], [step(-2, 5)])
    rival.dispose()
    assert (content(engine)[0], successor.totals()) == ([], Tally(accepted=7))


def test_owners_that_commit_the_same_partitions_in_opposite_order_do_not_deadlock(engine: Engine) -> None:
    ledger = ledger_on(engine)
    ledger.acquire(OTHER)
    waits: list[float] = []
    ledger.wait = waits.append

    def renew(order: list[Partition]) -> None:
        for _ in range(100):
            ledger.commit([], [Advance(partition, 0, 0, Tally(), 1) for partition in order])

    ledger.commit([], [Advance(partition, 0, 0, Tally(), 1) for partition in (WARD, OTHER)])
    threads = [threading.Thread(target=renew, args=(order,)) for order in ([WARD, OTHER], [OTHER, WARD])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waits == []


def test_rival_publishers_each_get_a_version_and_one_serves(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    registry = SqlRegistry(engine, "health", tmp_path_factory.mktemp("models"), lambda: NOW)

    def publish() -> None:
        for _ in range(5):
            registry.publish(b"weights", None, {})

    threads = [threading.Thread(target=publish) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = registry.versions()
    assert [record.version for record in versions] == list(range(15, 0, -1))
    assert [record.version for record in versions if record.status == "serving"] == [15]


def test_alerts_read_from_postgresql_have_the_same_types_as_from_sqlite(engine: Engine, database_url: str) -> None:
    tell_a_story(ledger_on(engine))
    frame = alerts(since=NOW, url=database_url)
    assert (len(frame), str(frame["started_at"].dtype), frame["reasons"][0][0]["expected"]) == (
        2,
        "datetime64[us, UTC]",
        None,
    )


def test_an_owner_that_sleeps_in_its_transaction_is_cut_off(engine: Engine) -> None:
    with engine.connect() as connection:
        limit = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar()
    assert limit == "10s"
