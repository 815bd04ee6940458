"""What the sums of a shadow let happen."""

import pytest

from schemas.shadow import Outcome, Role, Shadow, Tally
from scorer.verdict import settled

CLAIMED = {"forecast": 0.8}


def loss(difference: float, n: int = 1000, spread: float = 0.3) -> tuple[float, ...]:
    """Sums of n paired losses, the champion's 1 on the mean."""
    return float(n), float(n), n * (1.0 + difference), n * (difference**2 + spread**2)


def outcome(sums: dict[str, tuple[float, ...]], role: Role = Role.TRIAL, rows: int = 1000) -> Outcome | None:
    found = settled(Shadow(1, 1, 2, role, 1000, Tally(rows, sums)), CLAIMED)
    return None if found is None else found.outcome


@pytest.mark.parametrize(
    ("sums", "expected"),
    [
        ({"forecast.loss": loss(-0.1)}, Outcome.PROMOTED),
        ({"forecast.loss": loss(0.0)}, Outcome.REFUSED),
        ({"forecast.loss": loss(-0.01)}, Outcome.REFUSED),
        ({"forecast.loss": loss(-0.1), "soon.loss": loss(0.1)}, Outcome.REFUSED),
        ({"forecast.loss": loss(-0.1), "soon.loss": loss(0.0, spread=0.1)}, Outcome.PROMOTED),
        ({"forecast.loss": loss(-0.1), "soon.loss": loss(9.0, n=9)}, Outcome.PROMOTED),
        ({"forecast.loss": loss(-0.1), "forecast.coverage": (1000.0, 800.0, 900.0)}, Outcome.REFUSED),
        ({"forecast.loss": loss(-0.1), "forecast.coverage": (1000.0, 500.0, 900.0)}, Outcome.PROMOTED),
        ({}, Outcome.REFUSED),
    ],
    ids=[
        "better",
        "the same",
        "better perhaps",
        "worse on another task",
        "no worse on another task",
        "too few to say",
        "bands too wide",
        "bands less wrong",
        "nothing judged",
    ],
)
def test_a_trial_ends_by_what_is_sure(sums: dict[str, tuple[float, ...]], expected: Outcome) -> None:
    assert outcome(sums) is expected


def test_probabilities_that_lie_refuse_a_version() -> None:
    honest, lying = (50.0, 10.0, 10.0) + (0.0,) * 27, (50.0, 40.0, 10.0) + (0.0,) * 27
    sums = {"forecast.loss": loss(-0.1), "soon.champion": honest, "soon.challenger": lying}
    assert outcome(sums) is Outcome.REFUSED


def test_a_trial_goes_on_until_it_has_its_rows() -> None:
    assert outcome({"forecast.loss": loss(-0.1)}, rows=999) is None


@pytest.mark.parametrize(
    ("difference", "rows", "expected"),
    [(-0.1, 500, Outcome.ROLLED_BACK), (-0.02, 500, None), (0.0, 1000, Outcome.KEPT), (0.1, 1000, Outcome.KEPT)],
)
def test_a_promoted_version_is_rolled_back_as_soon_as_its_forerunner_is_surely_better(
    difference: float, rows: int, expected: Outcome | None
) -> None:
    assert outcome({"forecast.loss": loss(difference)}, Role.WATCH, rows) is expected


def test_tallies_add_up() -> None:
    one, other = Tally(2, {"a": (1.0, 2.0)}), Tally(3, {"a": (10.0, 20.0), "b": (5.0,)})
    assert one + other == Tally(5, {"a": (11.0, 22.0), "b": (5.0,)})
