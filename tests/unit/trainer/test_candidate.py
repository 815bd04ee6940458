"""Steps of the network that learns: judged before, refused where they harm, and only of what was taught."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from infra.memory import MemoryRegistry
from schemas.label import Label
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import GATE, TOPIC, TRAINING, WARD, autoregressive, batch, layout
from trainer.hindsight import Hindsight
from trainer.learner import Learner
from trainer.lesson import hindsight_lesson
from trainer.states import blank
from trainer.weighting.evidence import Stateless
from trainer.weighting.methods import WEIGHTINGS


def weights(learner):
    return [weight.clone() for weight in learner.candidate.network.parameters()]


@pytest.fixture
def poisoned(monkeypatch):
    """Makes the next loss not finite, or huge, when asked to."""
    factor = [1.0]
    weights = Stateless(lambda step: torch.ones_like(step.loss_J) * factor[0])
    monkeypatch.setitem(WEIGHTINGS, "equal", lambda _: weights)
    return factor


@pytest.mark.parametrize("factor", [np.nan, np.inf, 1e6])
def test_a_refused_step_changes_no_bit_of_the_weights_and_is_quarantined_with_its_offsets(poisoned, factor):
    registry = MemoryRegistry()
    learner = Learner(layout(TRAINING), 0, registry)
    stream = list(autoregressive(140, 16, 0))
    reports = []
    for number, rows in enumerate(stream):
        before = weights(learner)
        poisoned[0] = factor if len(reports) >= 12 else 1.0
        stepped = learner.observe(batch(*rows, first_offset=16 * number))
        reports += stepped
        if stepped and stepped[-1].refused:
            assert all(torch.equal(a, b) for a, b in zip(before, weights(learner), strict=True))
    refused = [report for report in reports if report.refused]
    assert len(refused) == len(reports) - 12 > 0
    assert registry.quarantined == [(report.refused, report.ranges) for report in refused]
    assert list(refused[0].ranges) == [TOPIC]


def test_learning_goes_on_after_a_refusal(poisoned):
    learner = Learner(layout(TRAINING), 0, MemoryRegistry())
    reports = []
    for rows in autoregressive(80, 16, 1):
        poisoned[0] = np.nan if len(reports) == 3 else 1.0
        reports += learner.observe(batch(*rows))
    assert [report.refused is not None for report in reports] == [False] * 3 + [True] + [False] * (len(reports) - 4)
    assert reports[-1].losses["forecast"] < reports[0].losses["forecast"] * 1.5


def test_metrics_are_recorded_by_task():
    registry = MemoryRegistry()
    learner = Learner(layout(TRAINING), 0, registry)
    for rows in autoregressive(30, 16, 2):
        learner.observe(batch(*rows))
    version, step, events, metrics = registry.metrics[0]
    assert (version, step, events) == (0, 1, 128)
    assert {"forecast.loss", "forecast.mase_h1", "forecast.mase_h4", "anomaly.auroc", "soon.accuracy"} <= set(metrics)


def test_frames_and_embeddings_are_learned_from_as_they_come_and_in_hindsight():
    gate = Layout(Monitor.model_validate(GATE | {"training": TRAINING}))
    learner, rng = Learner(gate, 0, MemoryRegistry(), labelled=True), np.random.default_rng(0)
    before = {
        name: weight.clone() for name, weight in learner.candidate.network.named_parameters() if ".vectors." in name
    }
    reports = []
    for step in range(40):
        frame = rng.integers(0, 256, (8, 3, 8, 12)).astype(np.uint8)
        sound = rng.normal(size=(8, 5)).astype(np.float32)
        light = frame.reshape(8, -1) / 255
        values = np.column_stack([light.mean(1), light.std(1), np.linalg.norm(sound, axis=1), rng.normal(size=8)])
        rows = batch(np.arange(8), values, np.full(8, 60_000 * step, dtype=np.int64), 8 * step)
        reports += learner.observe(replace(rows, vectors={"camera": frame, "sound": sound}))
        reports += learner.teach([Label(str(each), "anomaly", 60_000 * step, bool(each % 2)) for each in range(8)])
    moved = {
        name: not torch.equal(before[name], weight)
        for name, weight in learner.candidate.network.named_parameters()
        if name in before
    }
    assert (moved, [report.refused for report in reports]) == (dict.fromkeys(before, True), [None] * len(reports))


def test_a_step_in_hindsight_is_judged_by_what_was_never_learned_from():
    event = {"name": "death", "kind": "event", "weight": 0.2}
    ward = Layout(Monitor.model_validate(WARD | {"tasks": [*WARD["tasks"], event], "training": TRAINING}))
    learner, other = Learner(ward, 0, MemoryRegistry(), labelled=True), Hindsight(ward, np.random.default_rng(0))
    rows = batch(np.tile(np.arange(16), 6), np.random.default_rng(1).uniform(1, 90, (96, 7)), np.arange(96) * 60_000)
    learner.observe(rows)
    other.remember(rows)
    died = [Label(str(entity), "death", None, entity % 3 == 0) for entity in range(16)]
    learner.teach(died[:8])
    other.tell(died[8:])
    fresh = hindsight_lesson(other.next()[0], [], ward)
    with torch.no_grad():
        outputs, _ = learner.candidate.network(
            fresh.rows, blank(learner.candidate.network, fresh.rows.waves[0]), both_ways=True
        )
        alone = next(
            each for each in learner.candidate.descent.ways(outputs, fresh.targets).served if each.task == "death"
        )
    (report,) = learner.teach(died[8:])
    assert report.losses == {"death": pytest.approx(float(alone.mean()), rel=1e-5)}


def test_a_task_that_nothing_was_taught_of_rests():
    tasks = [*WARD["tasks"], {"name": "death", "kind": "event"}]
    ward = Layout(Monitor.model_validate(WARD | {"tasks": tasks, "training": TRAINING}))
    learner, rows = Learner(ward, 0, MemoryRegistry(), labelled=True), [*autoregressive(80, 16, 3)]
    died = [Label(str(entity), "death", None, entity % 3 == 0) for entity in range(16)]

    def moved_by(learn):
        before = dict(zip(names, weights(learner), strict=True))
        assert [report.refused for report in learn()] != []
        return {
            name
            for name, weight in learner.candidate.network.named_parameters()
            if not torch.equal(weight, before[name])
        }

    names = [name for name, _ in learner.candidate.network.named_parameters()]
    deaths = {name for name in names if name.startswith(("private.paths.3.", "private.states.1.", "states.1."))}
    others = {name for name in names if name.startswith(("private.paths.", "states.", "forecast."))} - deaths
    assert not deaths & moved_by(lambda: [each for time in rows[:40] for each in learner.observe(batch(*time))])
    by_labels = moved_by(lambda: learner.teach(died))
    assert deaths <= by_labels
    assert not others & by_labels
    # Adam's momentum of the labels does not go on in steps that know of none.
    assert not deaths & moved_by(lambda: [each for time in rows[40:] for each in learner.observe(batch(*time))])
