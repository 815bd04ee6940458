"""Alert stages: one entity's strengths in, changes out."""

import pytest

from schemas.alert import Change
from schemas.alerting import AlertSettings
from scorer.stages.finding import Finding, Memory
from scorer.stages.pipeline import stages_of
from scorer.stages.steering import Steering
from scorer.stages.warm_up import WarmUp

O, E, W, R = Change.OPENED, Change.ESCALATED, Change.WITHHELD, Change.RESOLVED  # noqa: E741


def changes(
    strengths: list[float], *, steered: bool = True, first_row: int = 100, doubted: str = "", **settings
) -> list[Change | None]:
    """What each row changes: warning from 3, critical from 4.5, thresholds at rest unless `steering` says so.

    `doubted`: a mark for each row, `?` where its feed is in doubt.
    """
    defaults = {"threshold": 3.0, "critical": 4.5, "steering": 0.0, "resolve_after": 2, "cooldown": 10, "warm_up": 50}
    alerts = AlertSettings(**(defaults | settings))
    stages, steering, memory = stages_of(alerts), Steering(alerts), Memory(0, 0, 0, 0, 0, 0.0, 0, 0, 0.0, 0)
    found = []
    marks = doubted.ljust(len(strengths))
    for number, (strength, mark) in enumerate(zip(strengths, marks, strict=True), start=first_row):
        rank = steering.rank(memory, number, strength)
        finding = Finding(number, number * 1000, rank, strength, steered, doubted=mark == "?")
        decision = next(d for stage in stages if (d := stage(finding, memory)) is not None)
        found.append(decision.change)
    return found


def test_one_row_above_opens_and_two_below_resolve() -> None:
    assert changes([1, 3.5, 1, 1, 1]) == [None, O, None, R, None]


def test_an_alert_does_not_end_while_its_feed_is_in_doubt_and_says_so_once() -> None:
    assert changes([3.5, *[1] * 8], doubted=" ?????   ") == [O, None, W, None, None, None, None, R, None]


def test_rows_before_the_doubt_do_not_count_after_it() -> None:
    assert changes([3.5, *[1] * 5], doubted="  ?   ") == [O, None, None, None, R, None]


def test_what_is_in_doubt_may_still_be_worse() -> None:
    assert changes([3.5, 1, 4.6, 1, 1], doubted=" ??? ") == [O, None, E, None, None]


def test_more_of_the_same_is_the_same_alert() -> None:
    assert changes([3.5, 3.6, 3.4]) == [O, None, None]


def test_a_higher_severity_escalates() -> None:
    assert changes([3.5, 4.6]) == [O, E]


def test_a_clearly_higher_peak_escalates_within_one_severity() -> None:
    assert changes([4.6, 5.0, 6.5]) == [O, None, E]


def test_persistence_wants_consecutive_rows() -> None:
    assert changes([3.5, 3.5, 1, 3.5, 3.5, 3.5], persistence=3) == [None, None, None, None, None, O]


def test_after_an_alert_the_same_again_is_no_news_until_the_cooldown_ends() -> None:
    assert changes([3.5, 1, 1, 3.5, 1, 1, 1, 1, 1, 1, 3.5]) == [O, None, R, *[None] * 7, O]


def test_within_the_cooldown_something_clearly_worse_opens() -> None:
    assert changes([3.5, 1, 1, 4.6]) == [O, None, R, O]


def test_a_young_entity_raises_no_learned_alert() -> None:
    assert changes([9, 9], first_row=0) == [None, None]


def test_an_entity_that_was_lent_experience_is_young_for_three_rows() -> None:
    alerts = AlertSettings(warm_up=50)
    young, old = (Finding(number, 0, 1, 9.0, True, lent=True) for number in (2, 3))
    memory = Memory(0, 0, 0, 0, 0, 0.0, 0, 0, 0.0, 0)
    assert [WarmUp(alerts.warm_up)(finding, memory) is None for finding in (young, old)] == [False, True]


def test_a_rule_needs_no_warm_up() -> None:
    assert changes([9], first_row=0, steered=False) == [O]


@pytest.mark.parametrize("quiet", [[1.0] * 4, [2.99] * 4])
def test_nothing_above_raises_nothing(quiet: list[float]) -> None:
    assert changes(quiet) == [None] * 4


STEERED = {"cooldown": 0, "resolve_after": 1, "steering": 0.5}


def test_every_alert_asks_more_of_the_next() -> None:
    assert changes([3.2, 1, 3.2, 3.6, 1, 3.6], **STEERED) == [O, R, None, O, R, None]


def test_rows_without_alerts_give_back_what_the_budget_allows() -> None:
    assert changes([3.2, *[1] * 10, 3.2], budget=100, **STEERED) == [O, R, *[None] * 9, O]


def test_a_quiet_entity_is_listened_to_more_closely_but_not_without_end() -> None:
    quiet = [1.0] * 5_000
    closer = [changes([*quiet, strength], budget=1, relaxation=0.3, **STEERED)[-1] for strength in (2.75, 2.65)]
    assert closer == [O, None]


def test_rules_do_not_move_the_threshold() -> None:
    assert changes([3.2, 1, 3.2], steered=False, **STEERED) == [O, R, O]


def test_the_threshold_does_not_depend_on_which_rows_were_looked_at() -> None:
    steering = Steering(AlertSettings())
    memory = Memory(0, 0, 0, 0, 0, 0.0, 0, 0, 0.5, 10)
    often = [steering.rank(memory, row, 2.4) for row in range(11, 5_000)][-1]
    assert (often, memory.raised, memory.raised_row) == (steering.rank(memory, 4_999, 2.4), 0.5, 10)
