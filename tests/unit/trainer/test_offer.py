"""What proved itself is offered, each private path by itself."""

import numpy as np
import pytest
import torch

from infra.memory import MemoryRegistry
from tests.laws.ward import TRAINING, autoregressive, batch, different, layout, run, stream
from tests.unit.trainer.test_graft import ALONE, SOON, epochs_of
from trainer.gate import Gate
from trainer.learner import Learner
from trainer.offer import Offer, offer_of
from trainer.states import SERVING
from trainer.weights import load_weights

TOGETHER = [False] * 3


def both(candidate_detached, serving_detached):
    """A candidate and what serves, alike in nothing, with who is detached in each."""
    serving, candidate = epochs_of(serving_detached, candidate_detached)
    return candidate, serving


def offer(difference_K, candidate_detached=ALONE, serving_detached=ALONE):
    """Of forecast, anomaly and the state task, that much worse than what serves."""
    gate = Gate(3, 40)
    gate.add(np.ones((40, 3)) + np.array(difference_K), np.ones((40, 3)))
    return offer_of(gate, *both(candidate_detached, serving_detached))


@pytest.mark.parametrize(
    ("difference_K", "expected"),
    [
        ([-0.1, 0.0, 0.0], Offer(trunk=True, crossed=())),
        ([-0.1, 0.0, 0.1], Offer(trunk=True, crossed=(SOON,))),
        ([-0.1, 0.0, np.nan], Offer(trunk=True, crossed=())),
        ([-0.1, 0.1, -0.1], Offer(trunk=False, crossed=(SOON,))),
        ([0.0, 0.0, -0.1], Offer(trunk=False, crossed=(SOON,))),
        ([-0.1, 0.1, 0.0], None),
        ([0.0, 0.0, 0.0], None),
    ],
)
def test_a_private_path_holds_back_nobody_and_is_held_back_by_nobody(difference_K, expected):
    assert offer(difference_K) == expected


@pytest.mark.parametrize(("candidate", "serving"), [(TOGETHER, TOGETHER), (ALONE, TOGETHER), (TOGETHER, ALONE)])
def test_who_shares_in_either_stands_and_falls_with_the_others(candidate, serving):
    assert offer([-0.1, 0.0, 0.1], candidate, serving) is None
    assert offer([0.0, 0.0, -0.1], candidate, serving) == Offer(trunk=True, crossed=())


@pytest.mark.parametrize("trunk", [True, False])
def test_what_is_offered_answers_each_task_as_the_one_that_it_comes_from(trunk):
    candidate, serving = both(ALONE, ALONE)
    rows = stream(120, 9, 3)
    base, other = (candidate, serving) if trunk else (serving, candidate)
    (as_base, _), (as_other, _) = run(base, *rows), run(other, *rows)
    crossed = Offer(trunk=trunk, crossed=(SOON,))
    answers = run(crossed.network(candidate, serving).eval(), *rows)[0]
    assert different(answers, as_base) == ["state0"]
    assert (answers["state0"] == as_other["state0"]).all()
    assert crossed.taken(3) == ([0, 1] if trunk else [SOON])


def learner_of(difference_K) -> tuple[Learner, MemoryRegistry]:
    """After 60 rows of 16 entities, of which a version serves and what followed was so much worse than it."""
    registry = MemoryRegistry()
    learner = Learner(layout(TRAINING), 0, registry)
    for entity, values, time_ms in autoregressive(60, 16, 5):
        learner.observe(batch(entity, values, time_ms))
        for network in (learner.candidate.network, learner.candidate.average.network, learner.candidate.serving):
            network.private.detach_tasks(ALONE)
    gate = learner.candidate.gate
    gate.clear()
    gate.add(np.ones((48, 3)) + np.array(difference_K), np.ones((48, 3)))
    return learner, registry


def hidden(learner):
    return learner.candidate._states._slots.gather([f"{SERVING}.hidden"], np.arange(16))[f"{SERVING}.hidden"].copy()


def test_a_path_that_is_published_alone_changes_no_other_answer_and_no_state_of_what_serves():
    learner, registry = learner_of([0.0, 0.05, -0.1])
    before, states = learner.candidate.serving.state_dict(), hidden(learner)
    before = {name: value.clone() for name, value in before.items()}
    version = learner.publish_if_proved()
    published = load_weights(layout(TRAINING), registry.load(registry.get(version))).state_dict()
    changed = {name for name, value in published.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith((f"private.paths.{SOON}.", "private.states.0.")) for name in changed)
    assert np.array_equal(hidden(learner), states)
    assert not learner.passed_gate()


def test_a_path_that_got_worse_stays_as_it_serves_and_is_judged_on():
    learner, registry = learner_of([-0.1, 0.0, 0.05])
    before = {name: value.clone() for name, value in learner.candidate.serving.state_dict().items()}
    states, version = hidden(learner), learner.publish_if_proved()
    published = load_weights(layout(TRAINING), registry.load(registry.get(version))).state_dict()
    kept = [name for name in published if name.startswith((f"private.paths.{SOON}.", "private.states.0."))]
    assert all(torch.equal(published[name], before[name]) for name in kept)
    assert not all(torch.equal(value, before[name]) for name, value in published.items())
    assert not np.array_equal(hidden(learner), states)
    verdict = learner.candidate.gate.verdict()
    assert np.isnan(verdict.error_K).tolist() == [True, True, False]
