"""Tasks look at those whose gradients agree with theirs, where the monitor asks for it."""

import numpy as np
import pytest
import torch

from infra.memory import MemoryRegistry
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import TRAINING, WARD, autoregressive, awake, batch, layout, with_cells
from trainer.architecture import architecture
from trainer.fusion import TaskAttention
from trainer.learner import Learner
from trainer.network import Network
from trainer.rows import pack
from trainer.weighting.similarity import Similarity
from trainer.weights import load_weights, save_weights


def measured() -> Similarity:
    """Running cosines of three made-up tasks: the first two want the same, the third something unrelated."""
    generator = torch.Generator().manual_seed(0)
    similarity = Similarity(3)
    for _ in range(100):
        wanted_D, unrelated_D = torch.randn(2, 50, generator=generator)
        gradient_KD = torch.stack([wanted_D, wanted_D + 0.3 * torch.randn(50, generator=generator), unrelated_D])
        similarity.add(gradient_KD @ gradient_KD.T)
    return similarity


def affinity(bias: float) -> torch.Tensor:
    """How much each of the tasks looks at each, mean over rows, [K, K]."""
    torch.manual_seed(1)
    attention = TaskAttention(16, 3, bias)
    attention.relate(measured().cosine_KK)
    return attention(torch.randn(3, 64, 16))[1].mean(0)


def test_weights_move_towards_related_tasks_and_stay_between_unrelated_ones() -> None:
    before, after = affinity(0.0), affinity(4.0)
    gained = (after / before).log()
    assert gained[0, 1] - gained[0, 2] == pytest.approx(4.0 * 0.95, abs=0.5)
    assert gained[1, 0] - gained[1, 2] == pytest.approx(4.0 * 0.95, abs=0.5)
    assert gained[2].abs().max() < 0.5


def two_storms(steps: int, entities: int, seed: int):
    """Rows in which heart rate and pressure are calm or stormy for some twenty rows, each for itself."""
    rng = np.random.default_rng(seed)
    level, x, stormy = np.array([80.0, 120.0, 60.0, 16.0, 9.0, 30.0, 60.0]), 0.0, np.zeros((entities, 2), np.bool_)
    for step in range(steps):
        stormy ^= rng.random(stormy.shape) < 0.05
        spread = np.hstack([np.where(stormy, 4.0, 0.3), np.ones((entities, 5))])
        x = 0.6 * x + rng.normal(size=spread.shape) * spread
        values = level + x
        values[:, 6] = 60.0
        yield np.arange(entities), values, np.full(entities, 60_000 * step, dtype=np.int64)


def asked_of_storms() -> Layout:
    """Two tasks ask of the heart rate, how far it moves and whether further still; the third of the pressure."""
    asked = (("moves", "jump", 1.5), ("leaps", "jump", 2.0), ("swings", "swing", 1.5))
    states = [
        {
            "name": name,
            "kind": "state",
            "classes": ["calm", "storm"],
            "target": {"rule": rule, "cuts": [cut], "within": 4},
        }
        for name, rule, cut in asked
    ]
    swing = {"name": "swing", "kind": "move", "signal": "sbp", "severities": {"warning": 3.0}}
    of_them = {"tasks": [*WARD["tasks"][:2], *states], "rules": [*WARD["rules"], swing]}
    training = {"training": TRAINING | {"similarity_every": 1}}
    return Layout(Monitor.model_validate(WARD | with_cells(similarity_bias=2.0) | of_them | training))


def test_of_learned_tasks_those_that_ask_alike_are_measured_alike_and_look_at_each_other() -> None:
    layout = asked_of_storms()
    learner = Learner(layout, 0, MemoryRegistry())
    for step, (entity, values, time_ms) in enumerate(two_storms(150, 16, 0)):
        learner.observe(batch(entity, values, time_ms, 16 * step))
    network = learner.candidate.network.eval()
    moves, leaps, swings = range(2, 5)
    cosine_KK = network.trunk.attention.cosine_KK
    assert cosine_KK[moves, leaps] > 3.0 * max(cosine_KK[moves, swings].abs(), cosine_KK[leaps, swings].abs())
    rows, _, _ = pack(*next(two_storms(1, 16, 1)), layout)
    with torch.inference_mode():
        biased = network(rows, network.initial(rows.waves[0]))[0].affinity_NKK.log()
        network.trunk.attention.cosine_KK.zero_()
        plain = network(rows, network.initial(rows.waves[0]))[0].affinity_NKK.log()
    gained_KK = (biased - plain).mean(0)
    assert gained_KK[moves, leaps] > gained_KK[moves, swings] + 0.1
    assert gained_KK[leaps, moves] > gained_KK[leaps, swings] + 0.1


def test_the_cosines_are_learned_published_and_served_as_they_were_published() -> None:
    biased = layout(training=TRAINING | {"similarity_every": 1}, similarity_bias=2.0)
    registry = MemoryRegistry()
    learner = Learner(biased, 0, registry)
    for step, (entity, values, time_ms) in enumerate(autoregressive(24, 16, 1)):
        learner.observe(batch(entity, values, time_ms, 16 * step))
    network = learner.candidate.network
    served = load_weights(biased, save_weights(network)).trunk.attention.cosine_KK
    assert torch.equal(served, learner.candidate.similarity.nan_to_num(0.0).fill_diagonal_(0.0))
    assert served.abs().sum() > 0


def test_what_is_not_measured_yet_leaves_what_was_known() -> None:
    attention = TaskAttention(16, 3, 1.0)
    known = measured().cosine_KK
    attention.relate(known)
    before = attention.cosine_KK.clone()
    attention.relate(torch.full((3, 3), torch.nan))
    assert before[0, 1] > 0.9
    assert torch.equal(attention.cosine_KK, before)


def test_without_a_bias_nothing_is_kept_and_older_weights_fit() -> None:
    network = awake(Network(layout()))
    network.trunk.relate(torch.ones(3, 3))
    assert "similarity_bias" not in architecture(layout())
    assert not [name for name in network.state_dict() if name.endswith("cosine_KK")]
