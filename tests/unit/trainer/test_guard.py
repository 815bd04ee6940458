import math

import pytest

from trainer.guard import Guard


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)])
def test_what_is_not_finite_is_refused_from_the_first_step(loss, norm):
    assert "not finite" in (Guard(100.0).refuse(loss, norm) or "")


def test_a_norm_far_above_the_running_one_is_refused():
    guard = Guard(10.0)
    assert [guard.refuse(1.0, 1.0) for _ in range(10)] == [None] * 10
    assert guard.refuse(1.0, 10.5) == "gradient norm above 10 times the running one"
    assert guard.refuse(1.0, 9.5) is None


def test_refused_norms_do_not_raise_the_running_one():
    guard = Guard(10.0)
    for _ in range(20):
        guard.refuse(1.0, 1.0)
    assert all(guard.refuse(1.0, 1e6) for _ in range(200))


def test_before_there_is_a_running_norm_large_ones_pass():
    assert Guard(10.0).refuse(1.0, 1e6) is None
