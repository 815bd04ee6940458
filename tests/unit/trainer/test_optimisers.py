from typing import get_args

import pytest
import torch
from torch import nn

from schemas.components import TrainingSettings
from trainer.optimisers import OPTIMISERS, optimiser_of


def settings(**given) -> TrainingSettings:
    return TrainingSettings.model_validate(given)


def test_every_optimiser_that_can_be_configured_can_be_made():
    assert get_args(TrainingSettings.model_fields["optimiser"].annotation) == tuple(OPTIMISERS)


def test_without_a_word_it_is_adamw_at_its_own_learning_rate():
    made = optimiser_of([nn.Parameter(torch.zeros(2))], settings())
    assert (type(made), made.defaults["lr"], made.defaults["weight_decay"]) == (torch.optim.AdamW, 2e-3, 1e-4)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_what_is_configured_is_what_it_learns_with(name):
    made = optimiser_of([nn.Parameter(torch.zeros(2))], settings(optimiser=name, learning_rate=0.7, weight_decay=0.3))
    assert (made.defaults["lr"], made.defaults["weight_decay"]) == (0.7, 0.3)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.5, True)])
def test_momentum_is_nesterovs_where_there_is_any(momentum, nesterov):
    made = optimiser_of([nn.Parameter(torch.zeros(2))], settings(optimiser="sgd", momentum=momentum))
    assert (made.defaults["momentum"], made.defaults["nesterov"]) == (momentum, nesterov)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_at_its_own_learning_rate_each_finds_the_bottom_of_a_bowl(name):
    weight = nn.Parameter(torch.tensor([0.3, -0.2]))
    made = optimiser_of([weight], settings(optimiser=name))
    for _ in range(1000):
        made.zero_grad()
        (weight - torch.tensor([0.1, 0.1])).square().sum().backward()
        made.step()
    assert weight.tolist() == pytest.approx([0.1, 0.1], abs=0.02)
