import numpy as np
import pytest
import torch

from infra.memory import MemoryRegistry
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import TRAINING, WARD, autoregressive, awake, batch, different, layout, run, stream
from trainer.attachment import Attachment
from trainer.learner import Learner
from trainer.network import Network
from trainer.rows import pack
from trainer.weights import load_weights, save_weights

SOON = 2


def shared_by(share: str, place: int = SOON) -> Layout:
    """The ward, one task (its state task) sharing as given."""
    tasks = [task | {"share": share} if each == place else task for each, task in enumerate(WARD["tasks"])]
    return Layout(Monitor.model_validate(WARD | {"tasks": tasks, "training": TRAINING}))


def judged(attachment: Attachment, difference, detached, windows=96, noise=0.0):
    """What changes after `windows` windows with these mean differences, shared minus private."""
    private = np.ones((windows, 3))
    wobble = np.random.default_rng(0).normal(size=private.shape) * noise
    return [(c.task, c.detached) for c in attachment.judge(private + np.array(difference) + wobble, private, detached)]


def test_the_task_that_sharing_harms_is_detached_and_the_one_it_helps_stays():
    assert judged(Attachment(shared_by("auto")), [-0.2, 0.0, 0.2], [False] * 3) == [(2, True)]


def test_a_detached_task_is_attached_again_once_sharing_is_better():
    assert judged(Attachment(shared_by("auto")), [0.0, 0.0, -0.2], [False, False, True]) == [(2, False)]


def test_a_difference_within_its_noise_changes_nothing():
    assert judged(Attachment(shared_by("auto")), [0.01] * 3, [False, True, False], noise=1.0) == []


@pytest.mark.parametrize(("within", "pieces", "changes"), [(None, None, [(3, True)]), (4, None, []), (None, 96, [])])
def test_online_a_task_of_whole_entities_needs_less_certainty(within, pieces, changes):
    event = {"name": "death", "kind": "event", "within": within}
    ward = Layout(Monitor.model_validate(WARD | {"tasks": [*WARD["tasks"], event], "training": TRAINING}))
    difference = np.random.default_rng(0).normal(size=(96, 4))
    difference = difference - difference.mean(0) + 2.0 * difference.std(0, ddof=1) / 96**0.5
    difference[:, :3] = 0.0
    found = Attachment(ward, pieces).judge(1.0 + difference, np.ones((96, 4)), [False] * 4)
    assert [(change.task, change.detached) for change in found] == changes


def test_a_few_windows_change_nothing():
    assert judged(Attachment(shared_by("auto")), [1.0] * 3, [False] * 3, windows=95) == []


def test_after_a_change_a_task_is_judged_by_later_windows_alone():
    attachment = Attachment(shared_by("auto"))
    judged(attachment, [0.0, 0.0, 0.2], [False] * 3)
    assert judged(attachment, [0.0, 0.0, -0.2], [False, False, True], windows=95) == []


@pytest.mark.parametrize(("pieces", "changes"), [(31, []), (32, [(2, True)])])
def test_of_history_all_pieces_are_judged_at_once_and_fewer_than_32_change_nothing(pieces, changes):
    attachment = Attachment(shared_by("auto"), pieces)
    assert judged(attachment, [0.0, 0.0, 0.2], [False] * 3, windows=pieces) == changes


@pytest.mark.parametrize(("share", "difference"), [("always", 1.0), ("never", -1.0)])
def test_what_is_configured_is_never_changed(share, difference):
    detached = [False, False, share == "never"]
    assert judged(Attachment(shared_by(share)), [0.0, 0.0, difference], detached) == []


@pytest.mark.parametrize(("share", "detached"), [("always", False), ("never", True), ("auto", None)])
def test_what_is_configured_holds_for_weights_that_were_made_before_it_was(share, detached):
    made = Network(shared_by("auto"))
    for was in (False, True):
        made.private.detach_tasks([was] * 3)
        found = load_weights(shared_by(share), save_weights(made))
        assert found.detached == (was, was, was if detached is None else detached)
        assert found.private.detached_K.tolist() == list(found.detached)


def test_a_task_that_was_never_judged_stays_where_it_is():
    assert judged(Attachment(shared_by("auto")), [np.nan] * 3, [False] * 3) == []


def test_a_detached_task_moves_nothing_but_its_own_head():
    network = awake(Network(layout()))
    network.private.detach_tasks([True] * 3)
    rows, *_ = pack(*stream(200, 9, 1), network.layout)
    shared, _ = network.train()(rows, network.initial(rows.waves[0]), both_ways=True)[0].ways
    shared.states[0].square().mean().backward()
    moved = {name for name, weight in network.named_parameters() if weight.grad is not None}
    assert moved == {"states.0.weight", "states.0.bias"}


def test_detaching_a_task_changes_no_bit_of_the_gradients_of_others():
    network = awake(Network(layout()))
    rows, *_ = pack(*stream(200, 9, 1), network.layout)
    found = []
    for detached in ([False] * 3, [False, False, True]):
        network.private.detach_tasks(detached)
        shared, _ = network.train()(rows, network.initial(rows.waves[0]), both_ways=True)[0].ways
        loss = shared.anomaly_N.square().mean()
        found.append(torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("detached", [[False, False, True], [True, False, False], [True, True, True]])
def test_outputs_are_bit_identical_however_the_stream_is_grouped_whoever_is_detached(detached):
    network = awake(Network(layout()))
    network.private.detach_tasks(detached)
    entity, values, time_ms = stream(200, 23, 3)
    whole, parts = (run(network, entity, values, time_ms, each) for each in ([], [3, 17, 18, 90]))
    assert different(whole[0], parts[0]) + different(whole[1], parts[1]) == []


def test_the_decision_travels_with_the_weights():
    network = awake(Network(layout()))
    network.private.detach_tasks([False, True, False])
    loaded = load_weights(layout(), save_weights(network))
    assert loaded.detached == (False, True, False)


def test_who_shares_nothing_else_answers_as_if_there_were_no_private_paths():
    with_paths, without = Network(layout()), Network(layout(private=0))
    rows = stream(120, 9, 3)
    assert different(run(awake(without), *rows)[0], run(awake(with_paths), *rows)[0]) == []


def test_a_task_that_never_shares_learns_and_is_reported_as_private():
    learner = Learner(shared_by("never", 0), 0, MemoryRegistry())
    reports = [report for each in autoregressive(56, 16, 2) for report in learner.observe(batch(*each))]
    found = learner.candidate.sharing["forecast"]
    assert (found.path, found.changes, reports[-1].weights["forecast"]) == ("private", 0, 0.0)
    assert reports[-1].losses["forecast"] < 0.95 * reports[0].losses["forecast"]


@pytest.mark.parametrize("entities", [1, 16], ids=["one entity", "many"])
def test_a_constant_signal_and_a_task_without_labels_leave_everything_finite(entities):
    learner = Learner(shared_by("never"), 0, MemoryRegistry())
    reports = []
    for entity, values, time_ms in autoregressive(320 // entities, entities, 4):
        values[:, 1], values[:, 0] = 120.0, np.nan  # the rule that labels the state task sees nothing
        reports += learner.observe(batch(entity, values, time_ms))
    assert [report.refused for report in reports] == [None] * len(reports)
    assert all(weight.isfinite().all() for weight in learner.candidate.network.parameters())
    assert "soon" not in reports[-1].losses
