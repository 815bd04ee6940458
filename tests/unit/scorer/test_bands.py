"""Bands: they hold as often as they claim, on each side, and change nothing but their width."""

import numpy as np

from scorer.bands import SIDES, Bands

QUANTILES = (0.1, 0.25, 0.5, 0.9)


def held(claimed: tuple[float, float], noise: np.ndarray) -> tuple[float, float]:
    """Of the later half of a stream: the share of values below and above bands that a network claims, widened."""
    bands, width = Bands(QUANTILES), np.zeros((1, 1, SIDES), dtype=np.float32)
    beyond = np.zeros((len(noise), SIDES), dtype=np.bool_)
    last, told = np.zeros((1, 1)), np.ones((1, 1), dtype=np.bool_)
    for row, value in enumerate(noise):
        quantile = np.array([[[claimed[0], claimed[0] / 2, 0.0, claimed[1]]]])
        bands.widen(quantile, width)
        bound, came = bands.bounds(quantile, last), np.full((1, 1), value, dtype=np.float32)
        beyond[row] = came[0, 0] < bound[0, 0, 0], came[0, 0] > bound[0, 0, 1]
        bands.learn(width, bound, came, told, np.full((1, 1), row, dtype=np.float32))
    below, above = beyond[len(noise) // 2 :].mean(axis=0).tolist()
    return below, above


def test_a_band_too_narrow_or_too_wide_holds_as_often_as_it_claims() -> None:
    noise = np.random.default_rng(0).normal(size=4000)
    shares = [held(claimed, noise) for claimed in ((-0.1, 0.1), (-20.0, 20.0), (-1.28, 1.28))]
    np.testing.assert_allclose(shares, 0.1, atol=0.01)


def test_each_side_learns_its_own_width() -> None:
    skewed = np.random.default_rng(1).exponential(size=4000) - np.log(2.0)
    np.testing.assert_allclose(held((-1.0, 1.0), skewed), 0.1, atol=0.01)


def test_a_change_of_noise_is_followed() -> None:
    rng = np.random.default_rng(2)
    noise = np.concatenate([rng.normal(size=2000), 5.0 * rng.normal(size=2200)])
    np.testing.assert_allclose(held((-1.28, 1.28), noise), 0.1, atol=0.03)


def test_widening_keeps_the_median_and_the_order() -> None:
    quantile = np.array([[[-3.0, -1.0, 2.0, 4.0]]])
    Bands(QUANTILES).widen(quantile, np.log(np.array([[[2.0, 0.5]]], dtype=np.float32)))
    np.testing.assert_allclose(quantile[0, 0], [-8.0, -4.0, 2.0, 3.0], rtol=1e-6)


def test_where_there_was_no_band_or_nothing_came_nothing_is_learned() -> None:
    width = np.zeros((1, 3, SIDES), dtype=np.float32)
    bound = np.array([[[0.0, 0.0], [-1.0, 1.0], [np.nan, np.nan]]], dtype=np.float32)
    came = np.full((1, 3), 9.0, dtype=np.float32)
    Bands(QUANTILES).learn(width, bound, came, np.array([[True, False, True]]), np.zeros((1, 3), dtype=np.float32))
    assert not width.any()
