"""What became of alarm budgets, on both databases: written with the offsets, read back over all partitions."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.database import connect, migrate
from schemas.budget import Achieved, Rate, Span
from schemas.observation import Partition
from schemas.protocols import Advance, Tally
from scorer.alerts import read_budgets
from scorer.ledger import SqlLedger

pytestmark = pytest.mark.service
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
