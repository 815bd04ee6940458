"""What people say of alerts moves the threshold, within bounds, and only when it is asked."""

import pytest

from schemas.errors import LedgerError
from scorer.strictness import Strictness, strictness


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

    def __init__(self, *said: tuple[int, int]) -> None:
        self._said = list(said)

    def judged(self) -> tuple[int, int]:
        if not self._said:
            raise LedgerError("the database is gone")
        return self._said.pop(0)


def test_it_is_constant_until_it_is_time_to_ask_again_and_stays_where_it_was_when_nobody_answers():
    now, found = [0.0], []
    asked = Strictness(People((0, 5), (0, 100)), 5.0, lambda: now[0], every_seconds=1.0)
    for second in (0.5, 1.0, 1.5, 2.0, 3.0):
        now[0] = second
        asked.refresh()
        found.append(asked.now())
    assert found == [0.18, 1.0, 1.0, 1.0, 1.0]
