import pytest
import torch

from schemas.errors import ModelError
from tests.laws.ward import awake, layout
from trainer.network import Network
from trainer.weights import architecture, load_weights, save_weights


def test_weights_come_back_bit_for_bit():
    network = awake(Network(layout()))
    loaded = load_weights(layout(), save_weights(network))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), loaded.parameters(), strict=True))


def test_the_same_weights_are_the_same_bytes():
    assert save_weights(Network(layout())) == save_weights(Network(layout()))


def test_another_seed_gives_other_weights():
    assert save_weights(Network(layout(seed=1))) != save_weights(Network(layout()))


@pytest.mark.parametrize("content", [b"", b"hello", save_weights(Network(layout()))[:-5]], ids=["none", "text", "torn"])
def test_what_is_no_whole_file_is_refused(content):
    with pytest.raises(ModelError, match="no whole safetensors file"):
        load_weights(layout(), content)


def test_weights_of_another_architecture_are_refused():
    with pytest.raises(ModelError, match="architecture"):
        load_weights(layout(width=64), save_weights(Network(layout())))


def test_weights_that_are_not_finite_are_neither_written_nor_read():
    network = Network(layout())
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        save_weights(network)


def test_what_does_not_change_the_meaning_of_weights_does_not_change_the_architecture():
    assert architecture(layout(half_state=False, seed=3)) == architecture(layout())
