"""Windows that are kept."""

from collections import Counter

import numpy as np

from schemas.observation import Partition
from trainer.past import Past, Reservoir
from trainer.windows import Window


def past(number, regime=0, partition=0):
    empty = np.empty(0)
    return Past(Window(0, empty, empty, empty, Partition("p", partition), (number, number + 8)), empty, regime)


def filled(windows, capacity=20, seed=0):
    reservoir, rng = Reservoir(capacity), np.random.default_rng(seed)
    for each in windows:
        reservoir.add(each, rng)
    return reservoir


def test_a_rare_regime_keeps_its_share():
    held = filled([*(past(n) for n in range(10)), *(past(n, regime=1) for n in range(10, 500))]).held
    assert Counter(each.regime for each in held) == {0: 10, 1: 10}


def test_nothing_is_kept_where_there_is_no_room():
    assert filled(map(past, range(5)), capacity=0).held == []


def test_what_is_drawn_does_not_depend_on_the_order_in_which_it_came():
    windows = [past(n, partition=n % 3) for n in range(20)]
    drawn = [filled(each).draw(6, np.random.default_rng(4)) for each in (windows, windows[::-1])]
    assert [each.window.offsets for each in drawn[0]] == [each.window.offsets for each in drawn[1]]
    assert len({each.window.offsets for each in drawn[0]}) == 6
