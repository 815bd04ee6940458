"""What holds for every way that tasks share, whatever the weights."""

import re

import numpy as np
import pytest
import torch

from tests.laws.ward import awake, different, layout, run, stream
from trainer.network import Network, Outputs
from trainer.rows import pack
from trainer.sharing import STRATEGIES

ROWS, ENTITIES = 400, 23
WORDS = (*STRATEGIES, "twins")
HEADS = ("forecast.", "anomaly.", "states.0.")
KEEPING_APART = ("hard", "hard-all", "mmoe", "mtan", "twins")
"""Nothing that is one task's own touches another, as long as the task attention is closed."""


@pytest.fixture(params=WORDS)
def network(request) -> Network:
    return awake(Network(layout(sharing=request.param)))


def losses(network: Network) -> list[torch.Tensor]:
    """One scalar per task, in their order, in training mode."""
    entity, values, time_ms = stream(ROWS, ENTITIES, 1)
    rows, _, _ = pack(entity, values, time_ms, network.layout)
    outputs: Outputs = network.train()(rows, network.initial(rows.waves[0]))[0]
    spread = (outputs.forecast_NSHQ - outputs.observed.last_NS[:, :6, None, None]) / outputs.scale_NS[..., None, None]
    logits = [outputs.anomaly_N, *(each.logsumexp(-1) + each[:, 0] for each in outputs.states)]
    return [spread.nan_to_num(0.0).square().mean(), *(each.square().mean() for each in logits)]


def gradients(network: Network, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """By name of the weight; zero where the loss does not depend on it."""
    names, weights = zip(*network.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, weights, retain_graph=True, materialize_grads=True)
    return dict(zip(names, found, strict=True))


def of_others(name: str, gradient: torch.Tensor, task: int) -> torch.Tensor:
    """Those rows of a weight's gradient that belong to another task's query, layer, gate, encoder or head."""
    owner = next((place for place, head in enumerate(HEADS) if name.startswith(head)), None)
    if found := re.match(r"trunk\.(encoders|fusions)\.(\d)", name):
        owner = int(found[2])
    if owner is not None:
        return gradient if owner != task else gradient[:0]
    if re.match(r"trunk\.(fusion|sharing)\..*_K[A-Z0-9]*$", name):
        return gradient[[row for row in range(len(HEADS)) if row != task]]
    return gradient[:0]


@pytest.mark.parametrize("seed", range(3))
def test_outputs_and_state_are_bit_identical_however_the_stream_is_grouped(network, seed):
    entity, values, time_ms = stream(ROWS, ENTITIES, seed)
    cuts = np.sort(np.random.default_rng(seed).integers(0, ROWS, 3 + 12 * seed))
    whole, parts = (run(network, entity, values, time_ms, each) for each in ([], cuts))
    assert different(whole[0], parts[0]) + different(whole[1], parts[1]) == []


@pytest.mark.parametrize("sharing", WORDS)
@pytest.mark.parametrize(("width", "heads"), [(8, 1), (64, 4)])
def test_grouping_does_not_matter_at_other_widths(sharing, width, heads):
    network = awake(Network(layout(sharing=sharing, width=width, heads=heads, experts=2)))
    entity, values, time_ms = stream(ROWS, ENTITIES, 9)
    whole, parts = (run(network, entity, values, time_ms, each) for each in ([], [17, 50, 51, 300]))
    assert different(whole[0], parts[0]) + different(whole[1], parts[1]) == []


def test_replacing_the_future_changes_nothing_before_it(network):
    entity, values, time_ms = stream(ROWS, ENTITIES, 3)
    other = values.copy()
    other[200:] = np.random.default_rng(0).uniform(1.0, 90.0, other[200:].shape)
    (as_it_was, _), (as_replaced, _) = (run(network, entity, each, time_ms) for each in (values, other))
    assert different({n: v[:200] for n, v in as_it_was.items()}, {n: v[:200] for n, v in as_replaced.items()}) == []


def test_every_weight_is_moved_by_the_tasks_together_and_every_gradient_is_finite(network):
    found = gradients(network, torch.stack(losses(network)).sum())
    found = {name: each for name, each in found.items() if not name.startswith("private.")}
    assert [name for name, each in found.items() if not each.isfinite().all() or not each.any()] == []


@pytest.mark.parametrize("sharing", KEEPING_APART)
def test_a_task_moves_nothing_that_is_another_ones_own(sharing):
    network = awake(Network(layout(sharing=sharing)))
    for name, weight in network.named_parameters():
        weight.data.mul_(float(name != "trunk.attention.gate_D"))
    moved = [
        (task, name)
        for task, loss in enumerate(losses(network))
        for name, gradient in gradients(network, loss).items()
        if of_others(name, gradient, task).any()
    ]
    assert moved == []


def test_attention_over_modalities_and_over_tasks_sums_to_one(network):
    seen, _ = run(network, *stream(ROWS, ENTITIES, 4))
    for name, size in {"attention_NKM": 5, "affinity_NKK": 3}.items():
        assert seen[name].shape == (ROWS, 3, size)
        np.testing.assert_allclose(seen[name].sum(-1), 1.0, rtol=1e-5)


def test_a_modality_never_seen_gets_no_attention(network):
    entity, values, time_ms = stream(ROWS, ENTITIES, 5)
    values[:, 5] = np.nan
    assert not run(network, entity, values, time_ms)[0]["attention_NKM"][:, :, 3].any()
