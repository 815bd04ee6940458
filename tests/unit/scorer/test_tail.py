"""The online tail: calibrated, monotone, finite, untouched by what is absent."""

import numpy as np
import pytest

from scorer.tail import Tail, judge, surprise, update

STREAMS = {
    "exponential": lambda random, shape: random.exponential(size=shape),
    "lognormal": lambda random, shape: random.lognormal(3.0, 2.0, size=shape),
    "normal": lambda random, shape: np.abs(random.normal(size=shape)) * 1e-3,
    "student": lambda random, shape: np.abs(random.standard_t(3, size=shape)) * 1e6,
}


def log(x: object) -> np.ndarray:
    return np.log(np.asarray(x, dtype=np.float32))


def run(x_NE: np.ndarray) -> tuple[np.ndarray, Tail]:
    tail = Tail.initial(x_NE.shape[1:])
    present = np.ones(x_NE.shape[1:], dtype=np.bool_)
    return np.stack([judge(tail, log_x, present) for log_x in log(x_NE)]), tail


def test_one_value_in_a_hundred_of_its_own_kind_has_a_surprise_of_two() -> None:
    share = (run(STREAMS["lognormal"](np.random.default_rng(0), (8_000, 16)))[0][2_000:] >= 2.0).mean()
    assert 0.005 <= share <= 0.02


@pytest.mark.parametrize("name", STREAMS)
def test_lighter_tails_are_judged_cautiously(name: str) -> None:
    x_NE = STREAMS[name](np.random.default_rng(0), (8_000, 16))
    assert (run(x_NE)[0][2_000:] >= 2.0).mean() <= 0.02


@pytest.mark.parametrize(("name", "outlier"), [("exponential", 40.0), ("lognormal", 1e6), ("normal", 2e-2)])
def test_what_never_came_before_is_worth_more_than_two(name: str, outlier: float) -> None:
    _, tail = run(STREAMS[name](np.random.default_rng(7), (4_000, 8)))
    assert surprise(tail, log(np.full(8, outlier))).min() > 2.0


@pytest.mark.parametrize("name", STREAMS)
def test_a_larger_value_is_never_less_surprising(name: str) -> None:
    _, tail = run(STREAMS[name](np.random.default_rng(1), (3_000, 4)))
    grid = np.linspace(-60.0, 60.0, 4_001, dtype=np.float32)
    scored = np.stack([surprise(tail, np.full(4, log_x)) for log_x in grid])
    # A polynomial in float32: neighbours may differ in the last bits.
    assert (np.diff(scored, axis=0).min() >= -1e-5, scored.min() >= 0) == (True, True)


def test_the_first_values_of_an_entity_are_no_surprise() -> None:
    x_NE = np.random.default_rng(2).exponential(size=(20, 500))
    assert run(x_NE)[0].max() < 1.5


@pytest.mark.parametrize("value", [1e-30, 1.0, 1e30])
def test_a_constant_series_never_surprises(value: float) -> None:
    scored, _ = run(np.full((3_000, 1), value))
    assert (bool(np.isfinite(scored).all()), bool(scored.max() < 1.7)) == (True, True)


def test_absurd_values_leave_the_tail_finite_and_sighted() -> None:
    x_NE = np.random.default_rng(3).exponential(size=(4_000, 1))
    x_NE[1_000] = 1e37
    x_NE[-1] = 1e3
    scored, tail = run(x_NE)
    finite = all(np.isfinite(value).all() for value in tail.fields().values())
    assert (finite, bool(scored[1_000, 0] > 10), bool(scored[-1, 0] > 4)) == (True, True, True)


def test_absent_values_change_not_a_bit() -> None:
    _, tail = run(np.random.default_rng(4).exponential(size=(100, 6)))
    before = {name: value.copy() for name, value in tail.fields().items()}
    update(tail, log(np.full(6, 50.0)), np.zeros(6, dtype=np.bool_))
    assert all(np.array_equal(before[name], value) for name, value in tail.fields().items())


def test_judging_is_scoring_and_then_learning() -> None:
    x = log(np.random.default_rng(5).exponential(size=(50, 3)))
    together, apart = Tail.initial((3,)), Tail.initial((3,))
    present = np.ones(3, dtype=np.bool_)
    for log_x in x:
        judged, scored = judge(together, log_x, present), surprise(apart, log_x)
        update(apart, log_x, present)
        assert np.array_equal(judged, scored)
    assert all(np.array_equal(value, apart.fields()[name]) for name, value in together.fields().items())


def test_a_shift_in_scale_is_forgotten() -> None:
    random = np.random.default_rng(6)
    calm, wild = random.exponential(size=(8_000, 8)), 100.0 * random.exponential(size=(12_000, 8))
    scored, _ = run(np.concatenate([calm, wild]))
    assert (scored[8_000:8_010].mean() > 2.0, (scored[-2_000:] >= 2.0).mean() < 0.02) == (True, True)
