"""What people say of a task's alerts moves its threshold, within bounds, and only when it is asked."""

import pytest

from schemas.alerting import AlertSettings
from schemas.errors import LedgerError
from scorer.strictness import Strictness, moved_by_verdicts, strictness, tolerated
from tests.unit.scorer.test_risk import EVENT, STATE, layout


@pytest.mark.parametrize(
    ("true", "false", "expected"),
    [
        (0, 0, 0.0),  # nobody said a word
        (10, 50, 0.0),  # five false alarms a true one are what a miss is worth
        (0, 5, 0.18),
        (0, 100, 1.0),
        (1, 0, -0.18),
        (100, 0, -0.3),
    ],
)
def test_a_handful_of_verdicts_moves_it_and_no_number_of_them_silences_a_monitor(true, false, expected):
    assert strictness(true, false, 5.0) == expected


def test_where_a_miss_costs_no_more_than_a_false_alarm_half_of_them_may_be_false():
    assert (strictness(20, 20, 1.0), strictness(20, 100, 1.0) > 0.3) == (0.0, True)


class People:
    """They say more each time they are asked, until nobody can be reached."""

    def __init__(self, *said: dict[str, tuple[int, int]]) -> None:
        self._said = list(said)

    def judged(self) -> dict[str, tuple[int, int]]:
        if not self._said:
            raise LedgerError("the database is gone")
        return self._said.pop(0)


def test_it_is_constant_until_it_is_time_to_ask_again_and_stays_where_it_was_when_nobody_answers():
    now, found = [0.0], []
    people = People({"anomaly": (0, 5)}, {"anomaly": (0, 100)})
    asked = Strictness(people, {"anomaly": 5.0}, lambda: now[0], every_seconds=1.0)
    for second in (0.5, 1.0, 1.5, 2.0, 3.0):
        now[0] = second
        asked.refresh()
        found.append(asked.now())
    assert [each["anomaly"] for each in found] == [0.18, 1.0, 1.0, 1.0, 1.0]


def test_each_task_is_moved_by_what_was_said_of_its_own_alerts_and_by_how_many_may_be_false():
    said = {"anomaly": (10, 50), "decline": (0, 10), "death": (0, 10), "fast": (0, 90)}
    asked = Strictness(People(said), {"anomaly": 5.0, "decline": 5.0, "death": 1.0}, lambda: 0.0, 1.0)
    assert asked.now() == {"decline": 0.3, "death": 0.43}


@pytest.mark.parametrize(("warning", "true", "false"), [(0.3, 30, 70), (0.5, 8, 8), (0.9, 90, 10), (0.05, 1, 19)])
def test_a_task_of_whose_alerts_as_many_are_true_as_it_asks_for_stays_where_it_is(warning, true, false):
    kind = moved_by_verdicts(layout(STATE | {"severities": {"warning": warning, "critical": 0.95}}))["decline"]
    may = tolerated(kind, AlertSettings())
    assert (strictness(true, false, may), strictness(true, false + 30, may) > 0.1) == (0.0, True)


def test_a_task_that_asks_for_certainty_is_judged_too():
    certain = moved_by_verdicts(layout(STATE | {"severities": {"critical": 1.0}}))["decline"]
    assert (strictness(0, 5, tolerated(certain, AlertSettings())), strictness(100, 0, 0.01)) == (1.0, -0.3)


def test_of_the_learned_score_so_many_may_be_false_as_a_miss_costs():
    score = moved_by_verdicts(layout(STATE))["anomaly"]
    asked = AlertSettings(), AlertSettings(cost_of_miss=3), AlertSettings(costs_of_miss={"anomaly": 20, "decline": 9})
    assert [tolerated(score, settings) for settings in asked] == [5.0, 3.0, 20.0]


def test_verdicts_move_the_learned_score_and_tasks_that_raise_alerts_but_no_rule():
    silent = {name: value for name, value in STATE.items() if name != "severities"} | {"name": "quiet"}
    moved = moved_by_verdicts(layout(STATE, silent, EVENT))
    assert {task: kind.kind for task, kind in moved.items()} == {
        "anomaly": "tail",
        "decline": "state",
        "death": "event",
    }
