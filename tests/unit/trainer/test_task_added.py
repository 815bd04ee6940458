"""What a network takes over from another one's weights."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from schemas.errors import ModelError
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import WARD, awake, layout, run, stream
from trainer.network import Network
from trainer.rows import pack
from trainer.transfer import transfer, weight_groups
from trainer.weights import save_weights

LATER = {
    "name": "later",
    "kind": "state",
    "classes": ["calm", "storm"],
    "target": {"rule": "jump", "cuts": [2.0], "within": 8},
}
UNDISTURBED = ("hard", "hard-all", "mmoe", "mtan", "twins")
"""While the task attention is closed no task reads what is another one's own."""
PRICES = {
    "monitor": "prices",
    "topics": {"observations": "prices"},
    "modalities": [
        {"name": "stocks", "signals": [{"name": "a"}, {"name": "b"}, {"name": "c"}]},
        {"name": "bonds", "signals": [{"name": "d"}]},
    ],
    "tasks": [*WARD["tasks"][:2]],
}

PATH = [f"private.paths.2.{name}" for name in ("first_PI", "first_P", "second_PD", "second_1D")]
HEADS = ["states.0.weight", "states.0.bias"]
OWN = ("standing.counts.0.seen_WC", *HEADS, *PATH, *(f"private.{name}" for name in HEADS))
"""Weights of the first state task alone."""


def changed(tasks, **model) -> Layout:
    return Layout(Monitor.model_validate(WARD | {"tasks": tasks, "model": model}))


def with_later(**model) -> Layout:
    """The ward with a task more, ahead of the one it had."""
    forecast, anomaly, soon = WARD["tasks"]
    return changed([forecast, anomaly, LATER, soon], **model)


def trained(**model) -> Network:
    """Weights off their start, the task attention closed."""
    network = awake(Network(layout(**model)))
    for name, weight in network.named_parameters():
        weight.data.mul_(float(name != "trunk.attention.gate_D"))
    return network


def said(network, names):
    outputs, _ = run(network.eval(), *stream(120, 9, 3))
    return np.concatenate([outputs[name].reshape(120, -1) for name in names], 1)


def test_a_task_added_brings_its_own_rows_and_everything_else_is_taken():
    found = transfer(with_later(), save_weights(trained()))
    per_task = ["fusion.query_KAD", "fusion.stale_KA1", "fusion.null_KA1", "fusion.task_K1D"]
    per_task += ["sharing.weight_KDD", "sharing.bias_K1D"]
    names = found.network.state_dict()
    assert found.partly == (*(f"trunk.{name}" for name in per_task), "private.detached_K")
    assert found.fresh == OWN
    assert found.taken == tuple(name for name in names if name not in found.partly + found.fresh)


@pytest.mark.parametrize("sharing", UNDISTURBED)
def test_the_tasks_that_were_there_answer_as_before(sharing):
    before = trained(sharing=sharing)
    after = transfer(with_later(sharing=sharing), save_weights(before)).network
    one, other = (
        said(before, ["forecast_NSHQ", "anomaly_N", "state0"]),
        said(after, ["forecast_NSHQ", "anomaly_N", "state1"]),
    )
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_the_added_task_says_that_nothing_is_known():
    after = transfer(with_later(), save_weights(trained())).network
    outputs, _ = run(after.eval(), *stream(120, 9, 3))
    standing = tuple(torch.from_numpy(outputs[f"standing{task}"]) for task in range(2))
    assert np.array_equal(outputs["state0"], after.standing(standing)[0].numpy())


def test_other_classes_make_another_task():
    forecast, anomaly, soon = copy.deepcopy(WARD["tasks"])
    soon["classes"][0] = "still"
    assert transfer(changed([forecast, anomaly, soon]), save_weights(trained())).fresh == OWN


def test_a_horizon_added_leaves_the_forecasts_of_the_others_as_they_were():
    forecast, *others = copy.deepcopy(WARD["tasks"])
    before, _ = run(trained(), *stream(120, 9, 3))
    after = transfer(changed([forecast | {"horizons": [1, 2, 4]}, *others]), save_weights(trained())).network
    now, _ = run(after.eval(), *stream(120, 9, 3))
    np.testing.assert_allclose(before["forecast_NSHQ"], now["forecast_NSHQ"][:, :, [0, 2]], rtol=1e-5, atol=1e-6)


def test_another_domain_takes_of_the_trunk_what_reads_no_signal():
    found = transfer(Layout(Monitor.model_validate(PRICES)), save_weights(trained()))
    reads_signals = "trunk.encoder.input_MI2D"
    fresh = [name for name in found.network.state_dict() if not name.startswith("trunk.") or name == reads_signals]
    assert (found.fresh, found.partly) == (tuple(fresh), ())


def test_the_same_network_is_taken_whole():
    found = transfer(layout(seed=5), save_weights(trained()))
    assert (found.partly, found.fresh) == ((), ())
    assert save_weights(found.network) == save_weights(trained())


def test_another_width_is_refused_by_name():
    with pytest.raises(ModelError, match="width is 32 in the file, 64 in the monitor"):
        transfer(with_later(width=64), save_weights(trained()))


@pytest.mark.parametrize("sharing", ["hard", "mmoe", "twins"])
def test_every_weight_is_in_one_group(sharing):
    network = Network(layout(sharing=sharing))
    groups = weight_groups(network)
    assert sorted(map(id, groups["trunk"] + groups["tasks"])) == sorted(map(id, network.parameters()))
    assert (groups["trunk"] == []) == (sharing == "twins")


def test_a_new_task_is_learned_on_a_frozen_trunk():
    network = transfer(with_later(), save_weights(trained())).network.train()
    groups = weight_groups(network)
    before = [weight.clone() for weight in groups["trunk"]]
    for weight in groups["trunk"]:
        weight.requires_grad_(requires_grad=False)
    entity, values, time_ms = stream(200, 9, 4, missing=0.0)
    rows, order, _ = pack(entity, values, time_ms, network.layout)
    wanted_N = torch.zeros(len(rows.time_N), dtype=torch.int64)
    wanted_N[order] = torch.from_numpy((values[:, 0] > np.median(values[:, 0])).astype(np.int64))
    for _ in range(25):
        outputs, _ = network(rows, network.initial(rows.waves[0]))
        loss = functional.cross_entropy(outputs.states[0][order], wanted_N[order])
        found = torch.autograd.grad(loss, groups["tasks"], materialize_grads=True)
        with torch.no_grad():
            for weight, gradient in zip(groups["tasks"], found, strict=True):
                weight.sub_(0.3 * gradient)
    assert loss.item() < 0.6 < np.log(2.0)
    assert all(torch.equal(one, other) for one, other in zip(before, groups["trunk"], strict=True))
