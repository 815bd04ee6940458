"""Wrong labels cost little, whether they are few and everybody's, or many and one's."""

import pytest

from tests.bench.poison import Poison, learned

ROWS = 80


@pytest.fixture(scope="module")
def clean() -> float:
    """Area under the curve after clean labels."""
    return learned(Poison(), ROWS, seed=0)[0]


def test_one_label_in_twenty_flipped_costs_less_than_a_point(clean: float) -> None:
    score, ledger = learned(Poison(flipped=0.05), ROWS, seed=0)
    assert (score > clean - 0.01, ledger.suspects()) == (True, {})


def test_a_source_that_always_lies_is_found_and_costs_little(clean: float) -> None:
    score, ledger = learned(Poison(liar=True), ROWS, seed=0)
    assert (score > clean - 0.02, ledger._excluded) == (True, {"mallory"})
