"""What share of rows may raise an alert by chance."""

import numpy as np
import pytest

from scorer.stages.chance import BLOCK
from scorer.stages.wealth import Wealth

KEPT = 1.0 - 1.0 / 64.0


def levels(found: list[int], rate: float) -> list[float]:
    """Before each block in which so much was found, and after the last."""
    wealth = Wealth()
    seen = []
    for count in [*found, 0]:
        seen.append(wealth.level(rate))
        wealth.now += count
        wealth.turn()
    return seen


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_never_more_is_spent_than_was_earned_whatever_is_found(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    found = rng.poisson(rng.choice([0.0, 0.1, 3.0, 20.0], 40).repeat(25)).tolist()
    spent = earned = 0.0
    for level, count in zip(levels(found, rate), found, strict=False):
        spent, earned = KEPT * spent + level * BLOCK, KEPT * earned + count
        assert spent <= rate * (1.0 + earned) + 1e-12


def test_all_that_was_earned_is_nearly_spent_in_the_end() -> None:
    seen = levels([0] * 10 + [2] * 200, 0.1)
    assert 0.8 * 0.1 * 2 < seen[-1] * BLOCK < 0.1 * 2


def test_neither_a_block_nor_the_next_earns_from_what_is_found_in_it() -> None:
    quiet, busy = levels([0, 0, 0, 0], 0.1), levels([9, 0, 0, 0], 0.1)
    assert (busy[:2] == quiet[:2], busy[2] > quiet[2]) == (True, True)


def test_silence_however_long_leaves_what_there_was_in_the_beginning() -> None:
    seen = levels([5] * 50 + [0] * 2000, 0.1)
    assert seen[-1] == pytest.approx(seen[0])
