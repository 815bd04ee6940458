"""What became of alarm budgets, on both databases: written with the offsets, read back over all partitions."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from infra.database import connect, migrate
from schemas.alert import Alert, Change, Rung
from schemas.alerting import Severity
from schemas.budget import Achieved, Rate, Span
from schemas.discovered import Discovered
from schemas.observation import Partition
from schemas.protocols import Advance, Tally
from schemas.tables import VerdictRow
from scorer.alerts import read_budgets
from scorer.ledger import SqlLedger

pytestmark = pytest.mark.service
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ASKED = Rate(alarms=0.5, span=Span.DAY)


def test_alarms_of_all_partitions_stand_against_the_budget(database_url: str) -> None:
    engine = connect(database_url)
    migrate(engine)
    clock = lambda: datetime(2026, 1, 31, tzinfo=UTC)  # noqa: E731
    ledger = SqlLedger(engine, "ward", "c", "owner", clock, timedelta(seconds=9), lambda _: "t")
    for number in range(3):
        partition = Partition("vitals", number)
        ledger.acquire(partition)
        for step, alarms in enumerate((1, 2)):
            achieved = {"entity": Achieved(ASKED, alarms, 2.0 * alarms, alarms)} if number else {}
            ledger.commit([], [Advance(partition, step, step + 1, Tally(accepted=1), 1, achieved=achieved)])
    engine.dispose()

    assert read_budgets("ward", database_url) == [
        {"monitor": "ward", "budget": "entity", "asked": "0.5 per entity-day", "alarms": 4, "achieved": 0.5}
        | {"always": 4, "out_of_reach": False}
    ]


def test_discoveries_stand_beside_the_share_that_people_called_false(database_url: str) -> None:
    engine = connect(database_url)
    migrate(engine)
    ledger = SqlLedger(engine, "ward", "c", "owner", lambda: NOON, timedelta(seconds=9), lambda _: "t")
    alerts = [alert(entity, kind) for kind in ("tail", "band") for entity in "abc"]
    for number in range(2):
        partition = Partition("vitals", number)
        ledger.acquire(partition)
        achieved = {"false discoveries": Discovered(0.1, 2 + number)}
        ledger.commit(() if number else alerts, [Advance(partition, 0, 1, Tally(accepted=1), 1, achieved=achieved)])
    unjudged = read_budgets("ward", database_url)
    learned, (rule, *_) = alerts[:3], alerts[3:]
    verdicts = [(learned[0], "true"), (learned[1], "false"), (learned[2], "unsure"), (rule, "false")]
    with engine.begin() as connection:
        for each, verdict in [(learned[0], "false"), *verdicts]:
            row = {"alert_id": each.id, "verdict": verdict, "author": "anna", "recorded_at": NOON}
            connection.execute(insert(VerdictRow), row)
    engine.dispose()

    told = {"monitor": "ward", "budget": "false discoveries", "asked": "at most 0.1", "alarms": 5}
    judged = read_budgets("ward", database_url)
    assert (unjudged, judged) == ([told | {"achieved": None}], [told | {"achieved": 0.5}])


def alert(entity: str, kind: str) -> Alert:
    """One that has just opened."""
    return Alert(
        monitor="ward",
        entity=entity,
        task=kind,
        kind=kind,
        started=NOON,
        change=Change.OPENED,
        severity=Severity.WARNING,
        event_time=NOON,
        peak_time=NOON,
        score=3.0,
        probability=0.9,
        reasons=(),
        model_version=1,
        rung=Rung.DETECTOR,
        partition=Partition("vitals", 0),
        offset=0,
        summary="",
    )
