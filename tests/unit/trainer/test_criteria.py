import math

import pytest
import torch
from torch.autograd import gradcheck

from schemas.loss import Loss
from trainer.criteria import huber, pinball, squared, surprise

LOSSES = [
    Loss(name="cross-entropy"),
    *(Loss(name="focal", gamma=gamma) for gamma in (0.0, 0.5, 1.0, 2.0, 5.0)),
]
PERSISTENCE = -torch.log1p(-(torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000)
"""Sizes of changes at even steps of an exponential distribution with mean 1."""


def double(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_pinball_by_hand():
    assert pinball(torch.tensor([2.0, -2.0]), torch.tensor(0.9)).tolist() == pytest.approx([1.8, 0.2])


def test_squared_by_hand():
    assert squared(torch.tensor([-3.0, 0.5])).tolist() == [4.5, 0.125]


def test_huber_by_hand():
    unit = 1.0 - math.exp(-2.0)
    by_hand = [0.5 * 1.5**2 / unit, 2.0 * (5.0 - 1.0) / unit]
    assert huber(torch.tensor([1.5, -5.0]), 2.0).tolist() == pytest.approx(by_hand)


def test_focal_by_hand():
    by_hand = 0.1**2 * -math.log(0.9) / (0.5**2 * math.log(2.0))
    assert surprise(double(-math.log(0.9)), LOSSES[4], 2).tolist() == pytest.approx([by_hand])


@pytest.mark.parametrize("cost", [squared, *(lambda x, d=delta: huber(x, d) for delta in (0.5, 1.0, 3.0))])
def test_persistence_costs_one_where_changes_are_as_the_head_expects(cost):
    assert cost(PERSISTENCE).mean().item() == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_an_even_guess_costs_one(loss, classes):
    assert surprise(double(math.log(classes)), loss, classes).tolist() == pytest.approx([1.0])


def test_focal_loss_without_focus_is_cross_entropy():
    nats = double(0.0, 0.1, 3.0, 40.0)
    assert torch.equal(surprise(nats, LOSSES[1], 3), surprise(nats, LOSSES[0], 3))


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_gradients_of_cross_entropies_are_those_of_their_values(loss):
    assert gradcheck(lambda nats: surprise(nats, loss, 3), double(0.01, 0.5, 2.0, 20.0))


@pytest.mark.parametrize("cost", [squared, lambda x: huber(x, 1.3), lambda x: pinball(x, x.new_tensor(0.2))])
def test_gradients_of_errors_are_those_of_their_values(cost):
    assert gradcheck(cost, double(-4.0, -0.7, 0.3, 2.0))


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_row_that_is_certain_has_a_finite_gradient(loss):
    nats = double(0.0)
    surprise(nats, loss, 2).sum().backward()
    assert nats.grad.isfinite().all()
