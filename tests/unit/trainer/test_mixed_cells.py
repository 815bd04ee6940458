"""Modalities that name their own cells. M modalities, X state width of a modality."""

import numpy as np
import pytest
import torch

from schemas.errors import ModelError
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import MIXES, WARD, autoregressive, awake, batch, different, layout, run, stream, with_cells
from trainer.architecture import architecture
from trainer.cells import CELLS
from trainer.fit import Fit
from trainer.history import pieces_of, streams_of
from trainer.network import Network
from trainer.rows import windows
from trainer.transfer import transfer, weight_groups
from trainer.units import axes_of
from trainer.weights import load_weights, save_weights

MIX = MIXES[0]
LATER = {
    "name": "later",
    "kind": "state",
    "classes": ["calm", "storm"],
    "target": {"rule": "jump", "cuts": [2.0], "within": 8},
}


def of(words, **more) -> Layout:
    """The ward with these cells, one per modality, None: `model.cell`."""
    modalities = [each | {"cell": word} for each, word in zip(WARD["modalities"], words, strict=True)]
    return Layout(Monitor.model_validate(WARD | {"modalities": modalities} | more))


def same(one: Network, other: Network) -> bool:
    """The same names and bits."""
    return save_weights(one) == save_weights(other)


@pytest.mark.parametrize("cell", CELLS)
def test_one_word_for_all_modalities_is_that_cell_bit_for_bit_whatever_the_model_says(cell):
    named, plain = of([cell] * 4, model={"cell": "mingru"}), layout(cell=cell)
    assert architecture(named) == architecture(plain)
    networks = [awake(Network(each)) for each in (named, plain)]
    assert same(*networks)
    (one, _), (other, _) = (run(each, *stream(60, 5, 1)) for each in networks)
    assert different(one, other) == []


def test_a_modality_without_a_word_takes_that_of_the_model():
    assert of([None, "ssm", None, None], model={"cell": "retention"}).cells == ("retention", "ssm") + ("retention",) * 2


def test_a_modality_is_moved_by_its_own_cell_with_its_own_weights():
    """The ward's modalities as a network of one cell has them, which only the mixture puts together."""
    words = MIX.split("+") * 2
    mixed = awake(Network(of(words)))
    plain = {word: awake(Network(layout(cell=word))) for word in words}
    for word, network in plain.items():
        weights = dict(network.state_dict())
        for name, weight in mixed.state_dict().items():
            module, _, last = name.rpartition(f"cell.{word}.")
            if module:
                places, axis = [place for place, each in enumerate(words) if each == word], int(last == "pool_PM1D")
                weights[f"{module}cell.{last}"].index_copy_(axis, torch.tensor(places), weight)
            elif ".cell." not in name:
                weights[name] = weight[..., : weights[name].shape[-1]] if name.endswith("decay_M1C") else weight
        network.load_state_dict(weights)
    asked = stream(60, 5, 1)
    _, state = run(mixed, *asked)
    for place, word in enumerate(words):
        _, alone = run(plain[word], *asked)
        width = alone["hidden"].shape[-1]
        np.testing.assert_allclose(state["hidden"][:, place, :width], alone["hidden"][:, place], atol=1e-3)
        assert not state["hidden"][:, place, width:].any()


def test_the_state_is_as_wide_as_the_widest_cell_needs():
    assert Network(layout(cell=MIX)).trunk.state_shape == (4, 8 * 16)


@pytest.mark.parametrize("sharing", ["hard", "twins"])
def test_weights_come_back_bit_for_bit(sharing):
    network = awake(Network(layout(cell=MIX, sharing=sharing)))
    assert same(load_weights(network.layout, save_weights(network)), network)


def test_weights_in_int8_are_smaller_and_say_nearly_the_same():
    network = awake(Network(layout(cell=MIX)))
    content = save_weights(network, int8=True)
    assert len(content) < 0.5 * len(save_weights(network))
    (one, _), (other, _) = (
        run(each.eval(), *stream(60, 5, 1)) for each in (network, load_weights(network.layout, content))
    )
    np.testing.assert_allclose(one["anomaly_N"], other["anomaly_N"], atol=0.2)


@pytest.mark.parametrize(
    ("there", "here", "words"),
    [
        ("gru", MIX, "model.cell is 'gru' in the file, ['gru', 'convolution', 'gru', 'convolution'] in the monitor"),
        (MIX, "gru", "model.cell is ['gru', 'convolution', 'gru', 'convolution'] in the file, 'gru' in the monitor"),
        (MIX, "gru+ssm", "model.cell[1] is 'convolution' in the file, 'ssm' in the monitor"),
    ],
)
def test_weights_of_other_cells_are_refused_by_the_field(there, here, words):
    for take in (load_weights, transfer):
        with pytest.raises(ModelError) as refused:
            take(layout(cell=here), save_weights(Network(layout(cell=there))))
        assert str(refused.value) == f"weights: {words}"


def test_a_fit_moves_the_weights_of_every_cell_and_the_network_serves():
    ward = layout({"window": 8}, width=8, cell=MIX)
    ward = Layout(ward.monitor.model_copy(update={"fitting": ward.monitor.fitting.model_copy(update={"epochs": 1})}))
    found = list(streams_of([batch(*each) for each in autoregressive(40, 12, 0)], ward, {}, []).values())
    network = Network(ward)
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    fit = Fit(network, ward, pieces_of(found[:8], ward), pieces_of(found[8:], ward), 0)
    assert fit.epoch().refused == 0
    cells = [name for name in before if ".cell." in name]
    assert [name for name in cells if torch.equal(dict(network.named_parameters())[name], before[name])] == []
    outputs, _ = run(load_weights(ward, save_weights(network)).eval(), *stream(60, 5, 1))
    assert np.isfinite(outputs["anomaly_N"]).all()


def test_linear_cells_of_a_mix_learn_the_same_by_scan_as_by_steps(monkeypatch):
    network = awake(Network(layout(cell="gru+ssm"))).train()
    _, values, time_ms = stream(24, 1, 2)
    rows = windows(values[None], time_ms[None] / 1000.0)
    state = network.initial(rows.waves[0])
    by_steps = network(rows, state)[0].anomaly_N
    monkeypatch.setattr("trainer.encoder._scan_pays", lambda *_: True)
    assert network(rows, state)[0].anomaly_N.allclose(by_steps, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mix", MIXES)
def test_a_task_added_leaves_cells_and_answers_of_the_others_as_they_were(mix):
    before = awake(Network(layout(cell=mix)))
    with torch.no_grad():
        before.trunk.attention.gate_D.zero_()
    forecast, anomaly, soon = WARD["tasks"]
    ward = Layout(Monitor.model_validate(WARD | with_cells(cell=mix) | {"tasks": [forecast, anomaly, LATER, soon]}))
    found = transfer(ward, save_weights(before))
    assert {name for name in before.state_dict() if name.startswith("trunk.encoder.")} <= set(found.taken)
    (one, _), (other, _) = (run(each.eval(), *stream(60, 5, 3)) for each in (before, found.network))
    np.testing.assert_allclose(one["forecast_NSHQ"], other["forecast_NSHQ"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(one["state0"], other["state1"], rtol=1e-5, atol=1e-5)


def test_cells_are_of_the_trunk_that_all_tasks_share():
    network = Network(layout(cell=MIX))
    shared = set(map(id, weight_groups(network)["trunk"]))
    assert all(id(weight) in shared for name, weight in network.named_parameters() if ".cell." in name)


def test_units_of_different_cells_are_not_counted():
    with pytest.raises(ModelError, match="cell: got gru, convolution; expected one for all modalities"):
        axes_of(Network(layout(cell=MIX)))
