"""The ledger's law on SQLite: once, whole, by the newest owner alone."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.exc import OperationalError

from infra.database import connect, migrate
from schemas.alert import Alert, Change, Rung, SignalReason
from schemas.alerting import Severity
from schemas.errors import FencedError, LedgerError
from schemas.observation import Partition
from schemas.protocols import Advance, Tally
from schemas.statements import ALERTS, EVENTS, PARTITIONS
from scorer.ledger import SqlLedger, transact

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
WARD = Partition("vitals", 0)
OTHER = Partition("vitals", 1)
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
    reasons=(SignalReason("HR", 131.0, float("nan"), float("inf")),),
    model_version=1,
    rung=Rung.NETWORK,
    partition=WARD,
    offset=4,
    summary="opened",
)
LATER = NOW + timedelta(minutes=1)
ESCALATED = replace(
    OPENED, change=Change.ESCALATED, severity=Severity.CRITICAL, event_time=LATER, peak_time=LATER, score=5.0, offset=5
)
END = NOW + timedelta(minutes=9)
RESOLVED = replace(
    ESCALATED, change=Change.RESOLVED, severity=Severity.CRITICAL, event_time=END, score=0.2, offset=9, summary="calm"
)

Owners = Callable[[str], SqlLedger]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'new' / 'bellwether.db'}")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def owners(engine: Engine) -> Owners:
    def make(owner: str) -> SqlLedger:
        return SqlLedger(
            engine,
            monitor="health",
            cluster="c1",
            owner=owner,
            clock=lambda: NOW,
            lease=timedelta(seconds=15),
            topic_id=lambda topic: f"id of {topic}",
            wait=lambda _: None,
        )

    return make


def step(start: int, end: int, partition: Partition = WARD, version: int = 1, file: str = "") -> Advance:
    read = Tally(accepted=max(end - start, 0))
    return Advance(partition, start, end, read, version, snapshot=(file, end) if file else None)


def rows(engine: Engine, table: object = ALERTS) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]  # type: ignore[call-overload]


def test_a_new_partition_starts_at_its_beginning(owners: Owners) -> None:
    position = owners("a").acquire(WARD)
    assert (position.epoch, position.committed, position.snapshots, position.swaps) == (1, -2, (), ())


def test_a_successor_goes_on_where_the_last_commit_ended(owners: Owners) -> None:
    first = owners("a")
    first.acquire(WARD)
    first.commit([], [step(-2, 10)])
    first.commit([], [step(10, 25)])
    position = owners("b").acquire(WARD)
    assert (position.epoch, position.committed, position.swaps) == (2, 25, ((-2, 1, {}),))


def test_alerts_and_offset_are_written_together(engine: Engine, owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    ledger.commit([OPENED], [step(0, 10)])
    (alert,) = rows(engine)
    (partition,) = rows(engine, PARTITIONS)
    assert (alert["id"], alert["phase"], alert["known_at"], partition["offset"]) == (OPENED.id, "firing", NOW, 10)


def test_numbers_that_json_lacks_are_written_as_absent(engine: Engine, owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    ledger.commit([OPENED], [step(0, 10)])
    assert rows(engine)[0]["reasons"] == [{"signal": "HR", "observed": 131.0, "expected": None, "evidence": None}]


def test_times_come_back_in_utc(engine: Engine, owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    elsewhere = datetime.fromisoformat("2026-01-31T13:00:00+01:00")
    ledger.commit([replace(OPENED, event_time=elsewhere)], [step(0, 10)])
    assert str(rows(engine)[0]["event_time"]) == "2026-01-31 12:00:00+00:00"


def test_an_older_owner_is_refused_and_writes_nothing(engine: Engine, owners: Owners) -> None:
    zombie, successor = owners("a"), owners("b")
    zombie.acquire(WARD)
    successor.acquire(WARD)
    with pytest.raises(FencedError, match="epoch is 2; expected 1"):
        zombie.commit([OPENED], [step(0, 10)])
    assert (rows(engine), rows(engine, PARTITIONS)[0]["offset"]) == ([], -2)


def test_one_lost_partition_refuses_the_whole_commit(engine: Engine, owners: Owners) -> None:
    zombie = owners("a")
    zombie.acquire(WARD)
    zombie.acquire(OTHER)
    owners("b").acquire(OTHER)
    with pytest.raises(FencedError):
        zombie.commit([OPENED], [step(0, 10), step(0, 10, OTHER)])
    assert (rows(engine), [row["offset"] for row in rows(engine, PARTITIONS)]) == ([], [-2, -2])


def test_an_alert_of_a_lost_partition_is_refused_though_its_offset_stays(owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(OTHER)
    with pytest.raises(FencedError, match="vitals/0"):
        ledger.commit([OPENED], [step(0, 10, OTHER)])


def test_a_released_partition_is_refused(owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    ledger.release(WARD)
    with pytest.raises(FencedError):
        ledger.commit([], [step(0, 10)])


def test_the_same_commit_twice_is_refused_and_doubles_nothing(engine: Engine, owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    ledger.commit([OPENED], [step(0, 10)])
    with pytest.raises(LedgerError, match="starts at offset 0; expected 10"):
        ledger.commit([OPENED], [step(0, 10)])
    assert (len(rows(engine)), len(rows(engine, EVENTS)), ledger.totals()) == (1, 1, Tally(accepted=10))


def test_a_gap_is_refused(owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    ledger.commit([], [step(0, 10)])
    with pytest.raises(LedgerError, match="starts at offset 11; expected 10"):
        ledger.commit([], [step(11, 20)])


def test_a_step_backwards_is_refused(owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    with pytest.raises(LedgerError, match="ends at offset 5; expected 10 or more"):
        ledger.commit([], [step(10, 5)])


def test_two_advances_of_one_partition_are_refused(owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    with pytest.raises(LedgerError, match="two advances"):
        ledger.commit([], [step(0, 5), step(5, 10)])


def test_an_empty_commit_needs_no_database(owners: Owners, engine: Engine) -> None:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    owners("a").commit([], [])
    assert statements == []


def test_an_alert_in_its_life_is_one_row_of_its_worst_moment(engine: Engine, owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    ledger.commit([OPENED, ESCALATED], [step(0, 6)])
    ledger.commit([RESOLVED], [step(6, 10)])
    (row,) = rows(engine)
    names = ("severity", "phase", "score", "summary", "peak_at", "ended_at", "event_time", "offset")
    assert [row[name] for name in names] == ["critical", "resolved", 5.0, "opened", LATER, END, END, 4]


def test_transitions_written_again_change_nothing(engine: Engine, owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    ledger.commit([OPENED, ESCALATED, RESOLVED], [step(0, 10)])
    before = rows(engine), rows(engine, EVENTS)
    ledger.commit([OPENED, ESCALATED, RESOLVED], [])
    assert (rows(engine), rows(engine, EVENTS)) == before
    assert [row["change"] for row in before[1]] == ["opened", "escalated", "resolved"]


def test_a_swap_is_recorded_where_a_version_first_served(owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    for start, version in ((0, 1), (10, 1), (20, 2), (30, 0)):
        ledger.commit([], [step(start, start + 10, version=version)])
    assert owners("b").acquire(WARD).swaps == ((0, 1, {}), (20, 2, {}), (30, 0, {}))


def test_a_swap_is_recorded_where_evidence_first_had_to_be_stronger(owners: Owners) -> None:
    first, second = owners("a"), owners("b")
    first.acquire(WARD)
    for start, strictness in ((0, {}), (10, {"soon": 0.3}), (20, {"soon": 0.3})):
        first.commit([], [replace(step(start, start + 10), strictness=strictness)])
    second.acquire(WARD)
    second.commit([], [replace(step(30, 40), strictness={"soon": 0.3})])
    assert owners("c").acquire(WARD).swaps == ((0, 1, {}), (10, 1, {"soon": 0.3}))


def test_the_newest_snapshots_are_kept_and_the_others_files_given_away(owners: Owners) -> None:
    ledger = owners("a")
    discarded: list[str] = []
    ledger.on_discard = discarded.extend
    ledger.acquire(WARD)
    for number in range(5):
        ledger.commit([], [step(number, number + 1, file=f"s{number}")])
    kept = owners("b").acquire(WARD).snapshots
    assert (kept, discarded) == ((("s4", 5), ("s3", 4), ("s2", 3)), ["s0", "s1"])


def test_a_topic_made_anew_starts_afresh(engine: Engine, owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    ledger.commit([], [step(0, 10)])
    again = owners("b")
    again.topic_id = lambda _: "another id"
    assert again.acquire(WARD).committed == -2


def test_totals_count_every_record_of_every_partition(owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    ledger.acquire(OTHER)
    ledger.commit([], [Advance(WARD, 0, 10, Tally(4, 3, 2, 1), 1), Advance(OTHER, 0, 1, Tally(accepted=1), 1)])
    ledger.commit([], [Advance(WARD, 10, 11, Tally(duplicate=1), 1)])
    assert ledger.totals() == Tally(5, 3, 2, 2)


@pytest.mark.parametrize("statement", range(7))
def test_a_failure_at_any_statement_is_tried_again_and_writes_once(
    engine: Engine, owners: Owners, statement: int
) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    fail_once(engine, statement)
    waits: list[float] = []
    ledger.wait = waits.append
    ledger.commit([OPENED], [step(0, 10, file="s")])
    assert (len(waits), len(rows(engine)), len(rows(engine, EVENTS)), ledger.totals()) == (1, 1, 1, Tally(accepted=10))


def test_a_commit_obeyed_but_unanswered_is_not_written_twice(
    engine: Engine, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    obey, failed = engine.dialect.do_commit, []

    def lose_the_answer(connection: sqlite3.Connection) -> None:
        obey(connection)
        if not failed:
            failed.append(True)
            raise busy()

    monkeypatch.setattr(engine.dialect, "do_commit", lose_the_answer)
    ledger.commit([OPENED], [step(0, 10)])
    assert (failed, len(rows(engine, EVENTS)), ledger.totals()) == ([True], 1, Tally(accepted=10))


def test_a_commit_without_alerts_is_one_statement(engine: Engine, owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    ledger.acquire(OTHER)
    ledger.commit([], [step(0, 10), step(0, 10, OTHER)])
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2].split()[0]))
    ledger.commit([], [step(10, 20), step(10, 20, OTHER)])
    assert statements == ["BEGIN", "UPDATE"]


def test_an_error_in_the_middle_leaves_nothing_behind(engine: Engine, owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    nameless = replace(OPENED, task=None)  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match="IntegrityError"):
        ledger.commit([OPENED, nameless], [step(0, 10)])
    assert (rows(engine), ledger.totals()) == ([], Tally())


def test_an_error_names_no_entity(owners: Owners) -> None:
    ledger = owners("a")
    ledger.acquire(WARD)
    with pytest.raises(LedgerError) as caught:
        ledger.commit([replace(OPENED, task=None)], [step(0, 10)])  # type: ignore[arg-type]
    assert "bed 7" not in f"{caught.value} {caught.value.__cause__}"


def test_patience_ends(engine: Engine) -> None:
    waits: list[float] = []
    with pytest.raises(LedgerError, match="database is locked"):
        transact(engine, _always_busy, waits.append, timedelta(seconds=1))
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8]


def busy() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


def fail_once(engine: Engine, statement: int) -> None:
    """Let the transaction's n-th statement fail, the first time."""
    seen: list[str] = []

    def count(_connection: object, _cursor: object, text: str, *_rest: object) -> None:
        seen.append(text)
        if len(seen) == statement + 1:
            raise OperationalError(text, {}, busy())

    event.listen(engine, "before_cursor_execute", count)


def _always_busy(_connection: object, _attempt: int) -> None:
    raise OperationalError("COMMIT", {}, busy())
