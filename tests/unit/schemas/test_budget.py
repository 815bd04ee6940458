"""Budgets as they are written."""

import pytest
from pydantic import ValidationError

from schemas.alerting import AlertSettings
from schemas.budget import Achieved, Budget, Rate, Span, as_written, pooled

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
        ("0.5 per fortnight", "expected 0.5 per entity-day, 20 per day"),
        ("0.5 per group-day", "expected a budget of groups as {group: 3 per day, by: ICUType}"),
        (True, "expected 0.5 per entity-day, 20 per day"),
        ([1, 2], "expected 0.5 per entity-day, 20 per day"),
        (None, "expected 0.5 per entity-day, 20 per day"),
        ({}, "expected 0.5 per entity-day, 20 per day"),
        ({"by": "ward"}, "expected entity, group or total, or else rows, got none"),
        ({"total": "0.5 per entity-day"}, "such as 20 per day: of all together; each entity's has the key entity"),
        ({"total": "0.5 per group-day"}, "such as 20 per day: of all together"),
        ({"entity": "20 per group-day"}, "such as 0.5 per entity-day or 1 per 1000 rows: each entity's"),
        ({"group": "20 per entity-day", "by": "ward"}, "such as 3 per day: each group's"),
        ({"entity": 5}, "such as 0.5 per entity-day"),
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
    achieved = Achieved(DAILY, 7, 12.25, 3)
    assert Achieved.read(achieved.told()) == achieved


def test_what_was_achieved_is_read_from_before_it_was_told_what_no_budget_holds_back() -> None:
    assert Achieved.read({"asked": "0.5 per day", "alarms": 7, "spans": 12.25}) == Achieved(DAILY, 7, 12.25)


@pytest.mark.parametrize(
    ("name", "written"), [("entity", "0.5 per entity-day"), ("group 3", "0.5 per group-day"), ("total", "0.5 per day")]
)
def test_a_rate_is_shown_with_the_unit_of_its_budget(name: str, written: str) -> None:
    assert as_written(name, DAILY) == written


def test_a_budget_is_out_of_reach_where_what_is_always_raised_is_more() -> None:
    assert [Achieved(DAILY, 9, 10.0, always).out_of_reach for always in (5, 6)] == [False, True]


def test_entities_time_adds_up_over_partitions_and_the_calendars_does_not() -> None:
    part = {"entity": Achieved(DAILY, 3, 4.0, 1), "total": Achieved(DAILY, 3, 2.0, 1)}
    assert pooled([part, part]) == {"entity": Achieved(DAILY, 6, 8.0, 2), "total": Achieved(DAILY, 6, 2.0, 2)}
