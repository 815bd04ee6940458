"""Weights in int8: what is lost, what is not, and that nothing else of the network changes."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from schemas.errors import ModelError
from tests.laws.ward import awake, different, layout, run, stream
from trainer.architecture import architecture
from trainer.int8 import narrowed, widened
from trainer.network import Network
from trainer.weights import load_weights, save_weights


@pytest.fixture
def network() -> Network:
    return awake(Network(layout()))


def test_every_weight_is_off_by_half_a_step_of_its_channel_at_most(network):
    found = narrowed(network)
    for name, weight in widened(found).items():
        step = found.get(name + ".int8_scale", torch.tensor(0.0))
        assert ((weight.double() - network.state_dict()[name].double()).abs() <= 0.5001 * step).all(), name


def test_vectors_counts_and_flags_stay_as_they_are(network):
    found, before = narrowed(network), network.state_dict()
    untouched = [name for name in before if found[name].dtype == before[name].dtype]
    assert "trunk.encoder.norm.weight" in untouched
    assert "population.count_S" in untouched
    assert "private.detached_K" in untouched
    assert all(torch.equal(found[name], before[name]) for name in untouched)


def test_a_channel_of_zeros_stays_zero(network):
    with torch.no_grad():
        network.forecast.weight_SHQD.zero_()
    assert widened(narrowed(network))["forecast.weight_SHQD"].abs().max() == 0


def test_the_file_is_well_under_half_as_large(network):
    assert len(save_weights(network, int8=True)) < 0.5 * len(save_weights(network))


def test_outputs_of_a_compressed_network_do_not_depend_on_how_the_stream_is_grouped(network):
    network.private = None
    small = load_weights(layout(), save_weights(network, int8=True)).eval()
    entity, values, time_ms = stream(200, 23, 5)
    whole, parts = (run(small, entity, values, time_ms, each) for each in ([], [17, 50, 51, 150]))
    assert different(whole[0], parts[0]) + different(whole[1], parts[1]) == []


def test_without_private_paths_a_network_answers_as_before(network):
    entity, values, time_ms = stream(100, 9, 6)
    before, _ = run(network, entity, values, time_ms)
    network.private = None
    after, _ = run(load_weights(layout(), save_weights(network)).eval(), entity, values, time_ms)
    assert different(before, after) == []


def test_a_compressed_network_says_nearly_the_same(network):
    entity, values, time_ms = stream(100, 9, 7)
    small = load_weights(layout(), save_weights(network, int8=True)).eval()
    before, after = (run(each, entity, values, time_ms)[0]["anomaly_N"] for each in (network, small))
    assert 0 < np.abs(before - after).max() < 0.05


@pytest.mark.parametrize(
    ("scale", "words"),
    [(torch.ones(7, 5, 3), "no whole safetensors file"), (torch.full((1, 1), torch.inf), "not finite")],
    ids=["shape", "infinite"],
)
def test_a_scale_that_cannot_be_is_refused(network, scale, words):
    weights = load(save_weights(network, int8=True)) | {"trunk.fusion.out.weight.int8_scale": scale}
    content = save(weights, metadata={"architecture": json.dumps(architecture(layout()))})
    with pytest.raises(ModelError, match=words):
        load_weights(layout(), content)
