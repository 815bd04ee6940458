"""What is offered for service: the mean of the last steps' weights, with everything else as it is now."""

import numpy as np
import pytest
import torch

from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import WARD, layout
from trainer.average import Average
from trainer.network import Network


def walk(network: Network, average: Average, steps: int, seed: int = 0) -> list[torch.Tensor]:
    """Steps at random; of one weight, what it was after each."""
    generator = torch.Generator().manual_seed(seed)
    weights, seen = list(network.parameters()), []
    with torch.no_grad():
        for _ in range(steps):
            for weight in weights:
                weight.grad = torch.zeros_like(weight)
                weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
            average.add()
            seen.append(weights[0].clone())
    return seen


def flat(network: Network) -> np.ndarray:
    return torch.cat([each.detach().flatten() for each in network.parameters()]).numpy()


def test_the_mean_is_that_of_the_last_steps_and_few_count_at_first() -> None:
    network = Network(layout())
    average = Average(network, span=4)
    seen = walk(network, average, 60)
    expected = next(Network(layout()).parameters()).detach().clone()
    for step, weight in enumerate(seen, start=1):
        expected += (weight - expected) / min(4.0, 1.0 + step / 10.0)
    torch.testing.assert_close(next(average.network.parameters()).detach(), expected)


def test_what_rests_is_the_mean_of_its_own_last_steps():
    network = Network(layout())
    average = Average(network, span=10)
    walk(network, average, 30)
    first, *others = average.network.parameters()
    was, others_were = first.clone(), [each.clone() for each in others]
    next(network.parameters()).grad = None
    average.add()
    assert torch.equal(first, was)
    assert not all(map(torch.equal, others, others_were))


def test_a_mean_of_one_step_is_the_network() -> None:
    network = Network(layout())
    assert Average(network, span=1).network is network


def test_what_is_no_weight_is_as_it_is_now() -> None:
    network = Network(layout())
    average = Average(network, span=10)
    assert network.private is not None
    network.private.detach_tasks([True] * len(network.layout.tasks))
    network.population.load_state_dict({name: each + 1 for name, each in network.population.state_dict().items()})
    average.add()
    assert all(average.network.detached)
    for name, buffer in network.named_buffers():
        assert torch.equal(dict(average.network.named_buffers())[name], buffer)


def test_another_network_begins_another_mean() -> None:
    network = Network(layout())
    average = Average(network, span=10)
    walk(network, average, 30)
    assert not np.array_equal(flat(average.network), flat(network))
    average.begin()
    assert np.array_equal(flat(average.network), flat(network))


@pytest.mark.parametrize("span", [1, 10])
def test_one_that_goes_on_comes_to_the_same(span: int) -> None:
    networks = [Network(layout()) for _ in range(2)]
    averages = [Average(network, span) for network in networks]
    walk(networks[0], averages[0], 25)
    networks[1].load_state_dict(networks[0].state_dict())
    averages[1].load_state_dict(averages[0].state_dict())
    for network, average in zip(networks, averages, strict=True):
        walk(network, average, 5, seed=1)
    assert np.array_equal(*(flat(average.network) for average in averages))


def test_of_a_path_that_is_taught_of_whole_entities_more_steps_count_and_only_those_that_taught_it() -> None:
    tasks = [*WARD["tasks"], {"name": "death", "kind": "event"}]
    network = Network(Layout(Monitor.model_validate(WARD | {"tasks": tasks})))
    average = Average(network, span=2)
    assert network.private is not None
    assert average.network.private is not None
    (death, *_), (mean, *_) = (each.private.own(3)[0].parameters() for each in (network, average.network))
    expected, told = mean.detach().clone(), 0
    with torch.no_grad():
        for step in range(200):
            for weight in network.parameters():
                weight.grad = torch.zeros_like(weight)
            if step % 2:
                told += 1
                death.add_(0.1)
                expected += (death - expected) / min(20.0, 1.0 + told / 4.0)
            else:
                for module in network.private.own(3):
                    for weight in module.parameters():
                        weight.grad = None
            average.add()
    torch.testing.assert_close(mean.detach(), expected)
    other = Average(network, span=2)
    other.load_state_dict(average.state_dict())
    assert other.state_dict() == average.state_dict()
