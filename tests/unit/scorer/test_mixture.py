"""Network and fast head in one forecast: by what each was worth, and by few values little."""

import numpy as np
import pytest

from schemas.prediction import Float32
from scorer.mixture import MOMENTS, rate, share, weigh


def shares(apart: Float32, came: Float32, error: float = 0.5, ahead: int = 16) -> float:
    """The share after a stream in which the network forecasts 0 and the fast head `apart`."""
    moment, told = np.zeros((1, 1, MOMENTS), dtype=np.float32), np.ones((1, 1), dtype=bool)
    for n, (fast, truth) in enumerate(zip(apart, came, strict=True), start=1):
        said, count = np.array([[[fast, 0.0]]], dtype=np.float32), np.full((1, 1), n, dtype=np.float32)
        slow, value = np.full((1, 1), error, np.float32), np.full((1, 1), truth, np.float32)
        weigh(moment, slow, value, said, rate(told, count, ahead))
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
