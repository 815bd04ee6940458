"""Network and fast head in one forecast: by what each was worth, and by few values little."""

import numpy as np
import pytest

from schemas.prediction import Float32
from scorer.mixture import MOMENTS, kept, rate, share, weigh


def learned(said: Float32, came: Float32, error: float = 0.5, lately: float = 0.0, ahead: int = 16) -> Float32:
    """Moments after a stream in which the network forecasts 0, the fast head and so their mean `said`."""
    moment, told = np.zeros((1, 1, MOMENTS), dtype=np.float32), np.ones((1, 1), dtype=bool)
    for n, (each, truth) in enumerate(zip(said, came, strict=True), start=1):
        both, count = np.array([[[each, 0.0]]], dtype=np.float32), np.full((1, 1), n, dtype=np.float32)
        slow, recent, value, mean = (np.full((1, 1), number, np.float32) for number in (error, lately, truth, each))
        weigh(moment, slow, recent, value, both, mean, rate(told, count, ahead))
    return moment


def shares(apart: Float32, came: Float32, error: float = 0.5, ahead: int = 16) -> float:
    """The fast head's share after such a stream."""
    moment = learned(apart, came, error, ahead=ahead)
    return float(share(np.full((1, 1), len(apart), dtype=np.float32), moment).item())


@pytest.mark.parametrize(("towards", "least"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (2.0, 1.0), (-1.0, 0.0)])
def test_the_share_is_that_of_the_least_squares_between_both_forecasts(towards: float, least: float) -> None:
    rng = np.random.default_rng(0)
    apart = rng.normal(size=600).astype(np.float32)
    came = (towards * apart + 0.1 * rng.normal(size=600)).astype(np.float32)
    assert shares(apart, came) == pytest.approx(least * 600 / 630, abs=0.03)


def test_few_values_say_little() -> None:
    apart = np.ones(3, dtype=np.float32)
    assert shares(apart, apart) == pytest.approx(3 / 33)


def test_nothing_is_shared_before_both_are_apart() -> None:
    assert shares(np.zeros(50, np.float32), np.ones(50, np.float32)) == 0.0


def test_one_absurd_value_decides_nothing() -> None:
    apart = np.random.default_rng(0).normal(size=300).astype(np.float32)
    came = apart.copy()
    came[150] = -1e30 * np.sign(apart[150])
    assert shares(apart, came) > 0.75


def test_a_signal_that_never_moves_is_the_fast_heads() -> None:
    """The network says a little beside what stands, the fast head nothing beside it."""
    apart = np.full(300, -0.01, dtype=np.float32)
    assert shares(apart, apart, error=0.01) > 0.9


def test_the_nearer_the_forecast_the_sooner_it_follows_who_has_become_better() -> None:
    apart = np.random.default_rng(0).normal(size=700).astype(np.float32)
    came = np.where(np.arange(700) < 600, 0.0, apart).astype(np.float32)
    near, far = (shares(apart, came, ahead=ahead) for ahead in (1, 24))
    assert near > 0.45
    assert far < 0.3


def test_the_longest_mean_is_of_300_values() -> None:
    told, many = np.array([[True], [False]]), np.full((2, 1), 1e6, dtype=np.float32)
    found = [rate(told, many, ahead)[:, 0].tolist() for ahead in (1, 2, 4, 48)]
    assert found == pytest.approx(np.array([[1 / 150, 0], [1 / (150 * 2**0.5), 0], [1 / 300, 0], [1 / 300, 0]]))


def kept_of(moment: Float32, count: float = 1e6, ahead: int = 1) -> float:
    """How much of a change serves after so many values."""
    return float(kept(np.full((1, 1), count, dtype=np.float32), moment, ahead).item())


@pytest.mark.parametrize(
    ("slope", "near", "far"), [(1.0, 1.0, 1.0), (0.5, 0.5, 1.0), (0.25, 0.25, 0.5), (0.0, 0.0, 0.0), (-1.0, 0.0, 0.0)]
)
def test_of_a_change_as_much_serves_as_came_or_all_unless_it_was_worse(slope: float, near: float, far: float) -> None:
    rng = np.random.default_rng(0)
    said = rng.normal(size=600).astype(np.float32)
    moment = learned(said, (slope * said + 0.1 * rng.normal(size=600)).astype(np.float32))
    assert (kept_of(moment), kept_of(moment, ahead=24)) == pytest.approx((near, far), abs=0.06)


def test_by_few_values_little_is_drawn() -> None:
    assert kept_of(np.zeros((1, 1, MOMENTS), dtype=np.float32), 0.0) == 1.0
    said = np.ones(10, dtype=np.float32)
    assert kept_of(learned(said, np.zeros(10, dtype=np.float32)), 10.0) > 0.75


def test_a_change_too_small_to_matter_is_not_doubted() -> None:
    came = np.random.default_rng(0).normal(size=300).astype(np.float32)
    assert kept_of(learned(np.float32(-0.01) * came, came, lately=1.0)) > 0.75
    assert kept_of(learned(np.float32(-0.5) * came, came, lately=1.0)) < 1e-3


def test_a_forecast_of_a_stream_that_has_passed_is_dropped_before_it_has_learned_the_new_one() -> None:
    rng = np.random.default_rng(0)
    said, came = (rng.normal(size=700).astype(np.float32) for _ in range(2))
    said[600:], came[:600] = 8.0 * said[600:], said[:600]
    assert kept_of(learned(said[:600], came[:600], lately=1.0, ahead=1)) == pytest.approx(1.0)
    assert kept_of(learned(said, came, lately=1.0, ahead=1)) < 0.1


def test_one_absurd_value_does_not_end_trust() -> None:
    said = np.random.default_rng(0).normal(size=300).astype(np.float32)
    came = said.copy()
    came[150] = -1e30 * np.sign(said[150])
    assert kept_of(learned(said, came, lately=0.5)) > 0.9


def test_a_signal_that_has_stood_still_for_very_long_leaves_numbers() -> None:
    still = np.zeros(5, dtype=np.float32)
    assert np.isfinite(learned(still, still, error=1e-40, lately=1e-42)).all()
