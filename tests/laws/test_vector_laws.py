"""What holds for frames and embeddings whatever the weights: they are one more input of a modality's encoder."""

import numpy as np
import pytest
import torch

from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import GATE, awake, different, run
from trainer.cells import CELLS
from trainer.network import Network
from trainer.rows import pack

ROWS = 150


@pytest.fixture(params=[{"cell": cell} for cell in CELLS] + [{"sharing": "twins"}], ids=str)
def network(request) -> Network:
    return awake(Network(Layout(Monitor.model_validate(GATE | {"model": request.param}))))


def stream(rows: int, entities: int, seed: int):
    """(entity, values, time_ms, vectors) of rows that carry a frame, a sound, both or neither."""
    rng = np.random.default_rng(seed)
    entity, time_ms = rng.integers(0, entities, rows), np.cumsum(rng.integers(1, 9_000, rows))
    frame = rng.integers(0, 256, (rows, 3, 8, 12)).astype(np.uint8)
    sound = (rng.normal(size=(rows, 5)) * 10.0 ** rng.integers(-20, 20, (rows, 1))).astype(np.float32)
    light = frame.reshape(rows, -1) / 255.0
    norm = np.linalg.norm(sound.astype(np.float64), axis=1)
    values = np.column_stack([light.mean(1), light.std(1), norm, rng.normal(size=rows)])
    for columns, vector in (([0, 1], frame), ([2], sound)):
        absent = rng.random(rows) < 0.3
        values[np.ix_(absent, columns)], vector[absent] = np.nan, 0
    return entity, values, time_ms, {"camera": frame, "sound": sound}


@pytest.mark.parametrize("seed", range(2))
def test_outputs_and_state_are_bit_identical_however_frames_are_grouped(network, seed):
    *rows, vectors = stream(ROWS, 17, seed)
    cuts = np.sort(np.random.default_rng(seed).integers(0, ROWS, 12))
    whole, parts = (run(network, *rows, each, vectors) for each in ([], cuts))
    assert different(whole[0], parts[0]) + different(whole[1], parts[1]) == []


def test_the_parallel_form_of_frames_agrees_with_event_by_event_streaming(network):
    *rows, vectors = stream(40, 4, 1)
    parallel, streaming = (run(network, *rows, each, vectors)[0] for each in ([], range(1, 40)))
    for name in parallel:
        np.testing.assert_allclose(parallel[name], streaming[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_replacing_later_frames_changes_nothing_before_them(network):
    *rows, vectors = stream(ROWS, 7, 2)
    other = {name: np.concatenate([vector[:100], vector[100:][::-1]]) for name, vector in vectors.items()}
    was, now = ({n: v[:100] for n, v in run(network, *rows, [], each)[0].items()} for each in (vectors, other))
    assert different(was, now) == []


def test_the_frame_itself_is_seen_and_not_only_its_light(network):
    *rows, vectors = stream(ROWS, 7, 3)
    turned = vectors | {"camera": vectors["camera"][..., ::-1].copy()}
    was, now = (run(network, *rows, [], each)[0] for each in (vectors, turned))
    assert "forecast_NSHQ" in different(was, now)


def test_what_stands_where_a_frame_is_absent_changes_nothing(network):
    *rows, vectors = stream(ROWS, 7, 4)
    noise = {name: vector.copy() for name, vector in vectors.items()}
    noise["camera"][np.isnan(rows[1][:, 0])] = 200
    noise["sound"][np.isnan(rows[1][:, 2])] = 1e30
    was, now = (run(network, *rows, [], each) for each in (vectors, noise))
    assert different(was[0], now[0]) + different(was[1], now[1]) == []


def test_the_state_of_an_entity_does_not_grow_with_frames(network):
    *rows, vectors = stream(30, 1, 5)
    sizes = [
        {name: part.nbytes for name, part in run(network, *(each[:n] for each in rows), [], clip)[1].items()}
        for n in (1, 30)
        for clip in [{name: vector[:n] for name, vector in vectors.items()}]
    ]
    assert sizes[0] == sizes[1]


def test_gradients_of_frames_and_sounds_are_finite_and_reach_every_weight(network):
    entity, values, time_ms, vectors = stream(ROWS, 7, 6)
    rows, _, _ = pack(entity, values, time_ms, network.layout, vectors)
    outputs, _ = network.train()(rows, network.initial(rows.waves[0]))
    (outputs.anomaly_N.sum() + outputs.shared.square().sum()).backward()
    found = {name: weight.grad for name, weight in network.named_parameters() if ".vectors." in name}
    assert {name: bool(grad.isfinite().all() & grad.any()) for name, grad in found.items()} == dict.fromkeys(
        found, True
    )
    assert isinstance(next(iter(found.values())), torch.Tensor)
