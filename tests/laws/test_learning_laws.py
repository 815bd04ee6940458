"""What holds for online learning: it helps, judges before it learns, looks at nothing ahead, and repeats itself."""

import numpy as np
import torch

from infra.memory import MemoryRegistry
from tests.laws.ward import TRAINING, autoregressive, batch, layout, stream
from trainer.learner import Learner
from trainer.weights import load_weights, save_weights


def learn(rows, seed=0, **training):
    """(learner, its registry, the reports) after a stream."""
    registry = MemoryRegistry()
    learner = Learner(layout(TRAINING | training), seed, registry)
    reports = []
    for number, each in enumerate(rows):
        reports += learner.observe(batch(*each, first_offset=number * len(each[0])))
        learner.publish_if_proved()
    return learner, registry, reports


def test_learning_brings_every_task_below_knowing_nothing_and_the_forecast_below_persistence():
    _, registry, reports = learn(autoregressive(260, 32, 0))
    first, last = reports[:5], reports[-5:]
    for task in ("forecast", "anomaly"):
        assert np.mean([r.losses[task] for r in last]) < 0.97 * np.mean([r.losses[task] for r in first])
    assert np.mean([r.metrics["forecast.mase_h1"] for r in last]) < 0.93
    assert registry.newest >= 1


def test_the_same_seed_and_stream_give_the_same_weights_bit_for_bit():
    one, other = (learn(autoregressive(60, 24, 1))[2][-1] for _ in range(2))
    assert one == other


def test_the_first_report_is_of_the_untrained_network_whose_forecast_is_persistence():
    _, _, reports = learn(autoregressive(40, 24, 2))
    assert reports[0].metrics["forecast.mase_h1"] == 1.0


def test_no_step_is_taken_before_everything_its_rows_are_judged_by_was_seen():
    window, ahead, entities = 8, 4, 16
    rows = list(autoregressive(window + ahead, entities, 3))
    assert learn(rows[:-1])[2] == []
    assert len(learn(rows)[2]) == 1


def test_rows_after_a_step_do_not_change_it():
    rows = list(autoregressive(40, 16, 4))
    cut = [(entity, values * (1.0 if step < 24 else 1.5), time) for step, (entity, values, time) in enumerate(rows)]
    before = learn(rows[:24])[2]
    assert learn(cut)[2][: len(before)] == before


def test_duplicates_and_late_rows_change_nothing():
    rows = list(autoregressive(40, 16, 5))
    doubled = [
        each for step, row in enumerate(rows) for each in ([row, rows[max(step - 3, 0)]] if step % 5 == 0 else [row])
    ]
    plain, disturbed = (learn(each)[2] for each in (rows, doubled))
    assert [report.losses for report in plain] == [report.losses for report in disturbed]


def test_a_single_entity_learns_too():
    _, _, reports = learn(autoregressive(400, 1, 6))
    assert len(reports) > 3
    assert all(np.isfinite(list(report.losses.values())).all() for report in reports)


def test_a_published_version_is_the_candidate_and_its_parent_is_what_served():
    learner, registry, _ = learn(autoregressive(160, 32, 7))
    records = [registry.get(version) for version in range(1, registry.newest + 1)]
    assert [record.parent for record in records] == [None, *range(1, registry.newest)]
    published = load_weights(layout(TRAINING), registry.load(records[-1]))
    assert save_weights(published) == registry.load(records[-1])
    assert learner.steps > 0


def test_learning_goes_on_from_the_serving_version():
    _, registry, _ = learn(autoregressive(160, 32, 8))
    resumed = Learner(layout(TRAINING), 0, registry)
    reports = resumed.observe(batch(*map(np.concatenate, zip(*autoregressive(12, 32, 9), strict=True))))
    assert reports[0].metrics["forecast.mase_h1"] < 1.0


def test_sparse_streams_are_learned_without_a_refusal():
    entity, values, time_ms = stream(4000, 20, 10, missing=0.8)
    _, _, reports = learn([(entity, values, time_ms)])
    assert [report.refused for report in reports] == [None] * len(reports)
    assert len(reports) >= 10
    assert torch.tensor([report.gradient_norm for report in reports]).isfinite().all()
