"""Explanations of frames and vectors, by a network that was taught to look at one corner."""

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ingest.vectors import derived
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Field
from trainer.explain import Explainer
from trainer.explanation import TOLERANCE, Explained, Question
from trainer.network import Network
from trainer.rows import pack
from trainer.trunk import Trunk

ROWS, SIDE, YES = 4, 16, 1
FORECAST, ANOMALY, LIT = 0, 1, 2
MONITOR = {
    "monitor": "made",
    "topics": {"observations": "made"},
    "modalities": [
        {"name": "camera", "kind": "image", "frame": {"height": SIDE, "width": SIDE}},
        {"name": "note", "kind": "embedding", "size": 3},
        {"name": "other", "signals": [{"name": "other", "range": [-5, 5]}]},
    ],
    "tasks": [
        {"name": "forecast", "kind": "forecast"},
        {"name": "anomaly", "kind": "anomaly"},
        {"name": "lit", "kind": "event"},
    ],
}
Made = tuple[np.ndarray, np.ndarray, dict[str, Field], np.ndarray]


def made(entities: int, seed: int) -> Made:
    """A square lies top left in some frames, the last one too, and elsewhere in the others: all are equally bright.

    Values [B * R, S], seconds, vectors and where the square was top left, one entity after another.
    """
    rng, n = np.random.default_rng(seed), entities * ROWS
    lit_N = rng.random(n) < 0.5
    lit_N[-1] = True
    frame = np.full((n, 1, SIDE, SIDE), 40, dtype=np.uint8)
    for row, lit in enumerate(lit_N):
        down, across = (0, 0) if lit else ((8, 8), (12, 4), (4, 12))[rng.integers(3)]
        frame[row, 0, down : down + 4, across : across + 4] = 250
    note = rng.normal(size=(n, 3)).astype(np.float32)
    values = np.column_stack([derived(frame), derived(note), rng.normal(size=n)])
    return values, np.tile(60.0 * np.arange(ROWS), entities), {"camera": frame, "note": note}, lit_N


@cache
def taught_once(sharing: str) -> Network:
    layout = Layout(Monitor.model_validate(MONITOR | {"model": {"width": 16, "sharing": sharing}}))
    network = Network(layout).train()
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for step in range(30):
        values, time_N, vectors, lit_N = made(32, step)
        entity = np.repeat(np.arange(32), ROWS)
        rows, order, _ = pack(entity, values, (time_N * 1_000.0).astype(np.int64), layout, vectors)
        outputs, _ = network(rows, network.initial(32) | {"hidden": torch.zeros(32, *network.trunk.state_shape)})
        loss = cross_entropy(outputs.states[0][torch.from_numpy(order)], torch.from_numpy(lit_N).long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network


def taught(sharing: str) -> Network:
    """A copy: who explains changes it."""
    return deepcopy(taught_once(sharing))


def asked(network: Network, question: Question) -> Explained:
    values, time_R, vectors, _ = made(1, 1_003)
    return Explainer(network, values, time_R, vectors).explain(question)


@pytest.mark.parametrize("sharing", ["hard", "twins"])
def test_the_frame_and_the_part_of_it_that_an_answer_hangs_on_come_first(sharing: str) -> None:
    explained = asked(taught(sharing), Question(LIT, YES))
    assert explained.answer > 1.0
    gradients, ablation = explained.gradients, explained.ablation
    assert np.unravel_index(np.abs(gradients.vector_RV).argmax(), gradients.vector_RV.shape) == (ROWS - 1, 0)
    assert np.unravel_index(np.abs(ablation.vector_RV).argmax(), ablation.vector_RV.shape) == (ROWS - 1, 0)
    assert np.abs(ablation.vector_RV[-1, 0]) > np.abs(ablation.cell_RS).max()
    region_GG = ablation.regions["camera"]
    assert region_GG.shape == (4, 4)
    assert region_GG.argmax() == 0
    assert region_GG[0, 0] > 1.0


@pytest.mark.parametrize("task", [FORECAST, ANOMALY, LIT])
def test_integrated_gradients_are_complete_with_frames_and_vectors(task: int) -> None:
    network = taught("hard")
    explained = asked(network, Question(task, YES if task == LIT else 0))
    gradients = explained.gradients
    total = gradients.by_row_RS.sum() + gradients.residual_S.sum() + gradients.vector_RV.sum()
    assert gradients.complete
    assert total == pytest.approx(gradients.change, abs=TOLERANCE * max(1.0, abs(gradients.change)))
    assert list(explained.ablation.regions) == ([] if task == FORECAST else ["camera"])


def test_what_is_recalled_answers_as_the_frames_themselves() -> None:
    network = taught("hard")
    assert isinstance(network.trunk, Trunk)
    values, time_R, vectors, _ = made(1, 1_003)
    time_ms = (time_R * 1_000.0).astype(np.int64)
    rows, order, _ = pack(np.zeros(ROWS, dtype=np.int64), values, time_ms, network.layout, vectors)
    with torch.no_grad():
        outputs, _ = network(rows, network.initial(32) | {"hidden": torch.zeros(32, *network.trunk.state_shape)})
    logit_C = outputs.states[0][order[-1]]
    explained = asked(network, Question(LIT, YES))
    assert explained.answer == pytest.approx(float(logit_C[1] - logit_C[0]), abs=1e-5)


def test_a_frame_that_did_not_come_has_no_part() -> None:
    values, time_R, vectors, _ = made(1, 1_003)
    values[-1, :2] = np.nan
    explained = Explainer(taught("hard"), values, time_R, vectors).explain(Question(LIT, YES))
    assert explained.gradients.vector_RV[-1, 0] == explained.ablation.vector_RV[-1, 0] == 0.0
    assert explained.ablation.regions == {}
