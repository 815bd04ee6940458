"""What the sums of a shadow let happen."""

from dataclasses import replace

import pytest

from schemas.components import FEWEST_SHADOW_ROWS
from schemas.shadow import Outcome, Role, Shadow, Tally
from scorer.verdict import confirmed, settled

CLAIMED = {"forecast": 0.8}


def loss(difference: float, n: int = 1000, spread: float = 0.3) -> tuple[float, ...]:
    """Sums of n paired losses, the champion's 1 on the mean."""
    return float(n), float(n), n * (1.0 + difference), n * (difference**2 + spread**2)


def coverage(**held: tuple[int, int]) -> dict[str, tuple[float, ...]]:
    """At each horizon, of 1000 values, how many both bands held."""
    return {f"forecast.{horizon}.coverage": (1000.0, *map(float, both)) for horizon, both in held.items()}


def outcome(sums: dict[str, tuple[float, ...]], role: Role = Role.TRIAL, rows: int = 1000) -> Outcome | None:
    return ended(Shadow(1, 1, 2, role, 1000, Tally(rows, sums)))


def ended(shadow: Shadow) -> Outcome | None:
    found = settled(shadow, CLAIMED)
    return None if found is None else found.outcome


def watch(*parts: tuple[int, int, float], spread: float = 0.3) -> Shadow:
    """Of v9 over versions, the newest first: each, its rows, and by how much v9's losses differ from its own."""
    newest, *earlier = (
        Shadow(10 - place, version, 9, Role.WATCH, 1000, Tally(n, {"forecast.h1.loss": loss(difference, n, spread)}))
        for place, (version, n, difference) in enumerate(parts)
    )
    return replace(newest, earlier=tuple(earlier))


@pytest.mark.parametrize(
    ("sums", "expected"),
    [
        ({"forecast.h1.loss": loss(-0.1)}, Outcome.PROMOTED),
        ({"forecast.h1.loss": loss(0.0)}, Outcome.REFUSED),
        ({"forecast.h1.loss": loss(0.0, spread=0.0)}, Outcome.PROMOTED),
        ({"forecast.h1.loss": loss(-0.01)}, Outcome.REFUSED),
        ({"forecast.h1.loss": loss(-0.1), "soon.loss": loss(0.1)}, Outcome.REFUSED),
        ({"forecast.h1.loss": loss(-0.1), "soon.loss": loss(0.0, spread=0.1)}, Outcome.PROMOTED),
        ({"forecast.h1.loss": loss(-0.1), "forecast.h6.loss": loss(0.1)}, Outcome.REFUSED),
        ({"forecast.h1.loss": loss(-0.1), "forecast.h1.coverage": (1000.0, 800.0, 900.0)}, Outcome.REFUSED),
        ({"forecast.h1.loss": loss(-0.1), "forecast.h1.coverage": (1000.0, 500.0, 900.0)}, Outcome.PROMOTED),
        ({"forecast.h1.loss": loss(-0.1)} | coverage(h1=(900, 800), h6=(800, 720)), Outcome.PROMOTED),
        ({"forecast.h1.loss": loss(-0.1)} | coverage(h1=(900, 800), h6=(800, 480)), Outcome.REFUSED),
    ],
    ids=[
        "better",
        "the same in the mean",
        "the same to the last bit, so that labels told it better",
        "better perhaps",
        "worse on another task",
        "no worse on another task",
        "worse at another horizon",
        "bands too wide",
        "bands less wrong",
        "wrong at another horizon by as much",
        "wrong at another horizon by more",
    ],
)
def test_a_trial_ends_by_what_is_sure(sums: dict[str, tuple[float, ...]], expected: Outcome) -> None:
    assert outcome(sums) is expected


def test_probabilities_that_lie_refuse_a_version() -> None:
    honest, lying = (50.0, 10.0, 10.0) + (0.0,) * 27, (50.0, 40.0, 10.0) + (0.0,) * 27
    sums = {"forecast.h1.loss": loss(-0.1), "soon.champion": honest, "soon.challenger": lying}
    assert outcome(sums) is Outcome.REFUSED


def test_a_trial_goes_on_until_it_has_its_rows() -> None:
    assert outcome({"forecast.h1.loss": loss(-0.1)}, rows=999) is None


@pytest.mark.parametrize(
    ("sums", "expected"),
    [
        ({}, Outcome.REFUSED),
        ({"forecast.h1.loss": loss(-0.1), "forecast.h96.loss": loss(9.0, n=9)}, Outcome.PROMOTED),
        ({"forecast.h1.loss": loss(-0.1), "forecast.h96.loss": loss(9.0, n=40)}, Outcome.REFUSED),
    ],
    ids=["nothing judged", "too few to say", "enough by then"],
)
def test_a_trial_waits_for_answers_until_it_had_four_times_its_rows(
    sums: dict[str, tuple[float, ...]], expected: Outcome
) -> None:
    fewest = min((found[0] for found in sums.values()), default=0.0)
    assert outcome(sums, rows=3999) is (None if fewest < FEWEST_SHADOW_ROWS else expected)
    assert outcome(sums, rows=4000) is expected


@pytest.mark.parametrize(
    ("difference", "rows", "expected"),
    [(-0.1, 500, Outcome.ROLLED_BACK), (-0.02, 500, None), (0.0, 1000, Outcome.KEPT), (0.1, 1000, Outcome.KEPT)],
)
def test_a_promoted_version_is_rolled_back_as_soon_as_its_forerunner_is_surely_better(
    difference: float, rows: int, expected: Outcome | None
) -> None:
    assert outcome({"forecast.h1.loss": loss(difference)}, Role.WATCH, rows) is expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(4, 300, -0.05)], None),
        ([(4, 300, -0.05), (3, 300, -0.05), (2, 300, -0.05)], Outcome.ROLLED_BACK),
        ([(4, 300, -0.1), (3, 900, 0.1)], Outcome.ROLLED_BACK),
        ([(4, 300, 0.0), (3, 900, 0.0)], None),
        ([(4, 300, 0.0), (4, 700, 0.0), (3, 100, 0.0)], Outcome.KEPT),
    ],
    ids=[
        "too few rows to be sure",
        "sure with those before it",
        "sure by itself, however good those before it were",
        "watched for long, but not itself",
        "watched for long, before and after a trial",
    ],
)
def test_a_watch_that_trials_interrupt_counts_what_it_saw_before(
    parts: list[tuple[int, int, float]], expected: Outcome | None
) -> None:
    assert ended(watch(*parts)) is expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(4, 300, 0.0), (3, 700, 0.0)], True),
        ([(4, 300, 0.0), (3, 699, 0.0)], False),
        ([(4, 300, -0.1), (3, 900, 0.1)], False),
    ],
    ids=["all rows between them", "too few", "the last is worse"],
)
def test_versions_that_follow_each_other_are_confirmed_by_their_rows_in_all(
    parts: list[tuple[int, int, float]], expected: bool
) -> None:
    assert confirmed(watch(*parts)) is expected


def test_tallies_add_up() -> None:
    one, other = Tally(2, {"a": (1.0, 2.0)}), Tally(3, {"a": (10.0, 20.0), "b": (5.0,)})
    assert one + other == Tally(5, {"a": (11.0, 22.0), "b": (5.0,)})
