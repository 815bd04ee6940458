"""What fitting in bfloat16 promises. K tasks, M modalities, N rows."""

from dataclasses import fields, is_dataclass
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from schemas.components import FittingSettings, ModelSettings
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import GATE, MIXES, awake, layout, stream
from trainer.cells import CELLS
from trainer.network import Network
from trainer.precision import PRECISIONS
from trainer.rows import pack, windows

SHARING = get_args(ModelSettings.model_fields["sharing"].annotation)
SETTINGS = [{"cell": cell} for cell in (*CELLS, *MIXES)] + [{"sharing": sharing} for sharing in SHARING]


def rows_of(waves=12):
    _, values, time_ms = stream(waves, 1, 2)
    return windows(values[None], time_ms[None] / 1000.0)


def told(network, rows, precision):
    """Outputs and state in the network's training form."""
    initial = network.initial(rows.waves[0])
    return network(
        rows, initial | {"hidden": initial["hidden"].float()}, both_ways=True, precision=PRECISIONS[precision]
    )


def tensors(record, name=""):
    """Every tensor in a record, by name."""
    if isinstance(record, Tensor):
        return {name: record}
    if isinstance(record, dict):
        parts = record.items()
    elif is_dataclass(record):
        parts = [(field.name, getattr(record, field.name)) for field in fields(record)]
    elif isinstance(record, tuple):
        parts = enumerate(record)
    else:
        return {}
    return {place: each for key, part in parts for place, each in tensors(part, f"{name}.{key}").items()}


def gradients(network, outputs):
    loss = outputs.forecast_NSHQ.nan_to_num(0.0).square().mean() + outputs.anomaly_N.square().mean()
    for each in (*outputs.states, *(logits for way in outputs.ways or () for logits in way.states)):
        loss = loss + each.square().mean()
    loss.backward()
    return [weight.grad for weight in network.parameters() if weight.grad is not None]


def test_the_setting_offers_every_precision():
    assert get_args(FittingSettings.model_fields["precision"].annotation) == tuple(PRECISIONS)


@pytest.mark.parametrize("model", SETTINGS, ids=lambda model: "-".join(*model.items()))
def test_every_cell_and_every_sharing_learns_in_bfloat16_with_weights_states_and_answers_of_the_same_types(model):
    network = awake(Network(layout(private=8, width=16, **model))).train()
    rows = rows_of()
    exact, rounded = (told(network, rows, precision) for precision in PRECISIONS)
    assert {name: each.dtype for name, each in tensors(exact).items()} == {
        name: each.dtype for name, each in tensors(rounded).items()
    }
    grads = gradients(network, rounded[0])
    assert {grad.dtype for grad in grads} == {torch.float32}
    assert all(grad.isfinite().all() for grad in grads)
    away = (rounded[1]["hidden"] - exact[1]["hidden"]).abs().max() / exact[1]["hidden"].abs().max()
    assert 0.0 < away < 0.05


def test_frames_and_embeddings_are_learned_in_bfloat16_too():
    network = awake(Network(Layout(Monitor.model_validate(GATE)))).train()
    rng = np.random.default_rng(3)
    vectors = {
        "camera": rng.integers(0, 256, (40, 3, 8, 12)).astype(np.uint8),
        "sound": rng.normal(size=(40, 5)).astype(np.float32),
    }
    rows, *_ = pack(np.arange(40) % 4, rng.normal(size=(40, 4)) + 1.0, 60_000 * np.arange(40), network.layout, vectors)
    grads = gradients(network, told(network, rows, "bfloat16")[0])
    assert all(grad.isfinite().all() for grad in grads)


def test_running_statistics_and_what_is_counted_are_not_rounded():
    network = awake(Network(layout()))
    exact, rounded = (told(network, rows_of(), precision)[0] for precision in PRECISIONS)
    one, other = tensors(exact.observed), tensors(rounded.observed)
    assert all(torch.equal(one[name].nan_to_num(), other[name].nan_to_num()) for name in one)
    assert all(torch.equal(*pair) for pair in zip(exact.standing, rounded.standing, strict=True))
