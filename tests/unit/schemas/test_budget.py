"""Budgets as they are written."""

import pytest
from pydantic import ValidationError

from schemas.alerting import AlertSettings
from schemas.budget import Achieved, Budget, Rate, Span, pooled

DAILY = Rate(alarms=0.5, span=Span.DAY)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0.5 per entity-day", Budget(entity=DAILY)),
        ("0.5 per day", Budget(total=DAILY)),
        ("2 per 1,000 rows", Budget(entity=Rate(alarms=2, span=Span.ROWS))),
        (0.5, Budget(rows=0.5)),
        (
            {"entity": "0.5 per day", "total": "20 per week"},
            Budget(entity=DAILY, total=Rate(alarms=20, span=Span.WEEK)),
        ),
    ],
)
def test_a_unit_says_whose_budget_it_is(written: object, meant: Budget) -> None:
    assert AlertSettings.model_validate({"budget": written}).budget == meant


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("0.5 per fortnight", "expected alarms and a span, such as 0.5 per entity-day"),
        ({}, "expected entity, group or total, or else rows, got none"),
        ({"entity": "1 per day", "rows": 1}, "got both"),
        ({"group": "1 per day"}, "by: expected the static signal"),
        ({"total": "1 per 1000 rows"}, "total: expected hours, days or weeks"),
        (-1, "greater than 0"),
    ],
)
def test_a_budget_that_means_nothing_is_refused(written: object, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        AlertSettings.model_validate({"budget": written})


@pytest.mark.parametrize("budget", ["0.5 per entity-day", 2.0])
def test_a_false_discovery_rate_and_a_budget_are_one_too_many(budget: object) -> None:
    with pytest.raises(ValidationError, match="false_discovery_rate: expected no budget beside it, got both"):
        AlertSettings.model_validate({"false_discovery_rate": 0.1, "budget": budget})


@pytest.mark.parametrize(
    "written", [{"budget": {"group": "1.5 per hour", "by": "ward"}}, {"false_discovery_rate": 0.1}]
)
def test_settings_survive_json(written: object) -> None:
    settings = AlertSettings.model_validate(written)
    assert AlertSettings.model_validate_json(settings.model_dump_json()) == settings


def test_what_was_achieved_survives_json() -> None:
    achieved = Achieved(DAILY, 7, 12.25)
    assert Achieved.read(achieved.told()) == achieved


def test_entities_time_adds_up_over_partitions_and_the_calendars_does_not() -> None:
    part = {"entity": Achieved(DAILY, 3, 4.0), "total": Achieved(DAILY, 3, 2.0)}
    assert pooled([part, part]) == {"entity": Achieved(DAILY, 6, 8.0), "total": Achieved(DAILY, 6, 2.0)}
