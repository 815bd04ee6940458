"""The learner goes on from whatever serves: its own line when that was promoted, another's weights when it was not."""

from dataclasses import replace

import pytest

from infra.memory import MemoryRegistry
from schemas.newest import UNKNOWN
from tests.laws.ward import TOPIC, TRAINING, autoregressive, awake, batch, layout
from trainer.checkpoint import packed, unpacked
from trainer.learner import Learner
from trainer.network import Network
from trainer.weights import save_weights

LONGER = list(autoregressive(120, 16, 5))
STREAM = LONGER[:60]


class Trying(MemoryRegistry):
    """What is published is tried before it serves."""

    def publish(self, weights, parent, metrics, newest=UNKNOWN):
        served = self._serving
        record = super().publish(weights, parent, metrics, newest)
        if parent is not None:
            self._serving = served
        return replace(record, status="challenger" if parent is not None else "serving")


def weights(learner):
    return save_weights(learner.candidate.network)


def served(kind=MemoryRegistry):
    """Two versions, of which the first one serves."""
    registry = kind()
    for network in (Network(layout(TRAINING)), awake(Network(layout(TRAINING)))):
        MemoryRegistry.publish(registry, save_weights(network), None, {})
    registry.promote(1, "ann", "the start")
    return registry


def learned(learner, rows):
    for each in rows:
        learner.observe(batch(*each))
    return learner


def test_when_another_version_serves_the_candidate_goes_on_from_its_weights():
    registry = served()
    learner = learned(Learner(layout(TRAINING), 0, registry), STREAM[:40])
    assert learner.steps > 0
    assert learner.follow(2, 0)
    assert (weights(learner), learner.version) == (registry.load(registry.get(2)), 2)
    assert registry.notes[-1] == (2, "learned from", "trainer", "v1 serves no more")


def test_nothing_changes_while_the_same_version_serves():
    learner = learned(Learner(layout(TRAINING), 0, served()), STREAM[:20])
    before = weights(learner)
    assert not learner.follow(1, 0)
    assert weights(learner) == before


def test_after_a_rollback_the_gate_knows_nothing_of_the_bad_line():
    learner = learned(Learner(layout(TRAINING), 0, served()), STREAM)
    assert learner.candidate.gate.ready()
    learner.follow(2, 0)
    assert not learner.candidate.gate.ready()


def test_a_challenger_that_came_to_serve_changes_no_weight_of_the_candidate():
    learner = learned(Learner(layout(TRAINING), 0, served(Trying)), STREAM)
    challenger = learner.publish_if_proved()
    assert (challenger, learner.version) == (3, 1)
    learned(learner, STREAM[:20])
    before = weights(learner)
    assert learner.follow(challenger, 0)
    assert (weights(learner), learner.version) == (before, 3)


def test_while_a_challenger_is_tried_no_other_is_published():
    learner = learned(Learner(layout(TRAINING), 0, served(Trying)), STREAM)
    learner.publish_if_proved()
    found = []
    for each in STREAM:
        learner.observe(batch(*each))
        found.append(learner.publish_if_proved())
    assert found == [None] * len(STREAM)


def test_a_refused_challenger_lets_the_next_one_prove_itself():
    learner = learned(Learner(layout(TRAINING), 0, served(Trying)), STREAM)
    assert learner.publish_if_proved() == 3
    assert learner.follow(1, 0)
    found = {learned(learner, [each]).publish_if_proved() for each in LONGER[60:]}
    assert 4 in found


@pytest.mark.parametrize(("serving", "kept"), [(1, False), (2, True)])
def test_a_trainer_that_starts_after_a_rollback_lets_go_of_what_was_learned_since(serving, kept):
    registry = served()
    registry.promote(2, "ann", "")
    one = learned(Learner(layout(TRAINING), 0, registry), STREAM[:40])
    state = packed(one.state_dict())
    registry.promote(serving, "ann", "")
    other = Learner(layout(TRAINING), 0, registry)
    other.load_state_dict(unpacked(state))
    other.add_shares({TOPIC: unpacked(packed(one.share_of(TOPIC)))})
    assert weights(other) == (weights(one) if kept else registry.load(registry.get(1)))


@pytest.mark.parametrize(("made_by", "goes_on"), [("trainer", True), ("train", False), ("relearn", False)])
def test_what_was_made_elsewhere_while_nobody_learned_is_gone_on_from(made_by, goes_on):
    registry = served()
    stood = packed(learned(Learner(layout(TRAINING), 0, registry), STREAM[:40]).state_dict())
    registry.promote(2, "ann", "meanwhile")
    registry._records[1] = replace(registry.get(2), made_by=made_by)
    learner = Learner(layout(TRAINING), 0, registry)
    learner.load_state_dict(unpacked(stood))
    assert (weights(learner) == unpacked(stood)["weights"], learner.version) == (goes_on, 2)
    assert (weights(learner) == registry.load(registry.get(2))) == (not goes_on)


@pytest.mark.parametrize("back", [False, True], ids=["there", "back"])
@pytest.mark.parametrize(
    "changed",
    [
        {"drift": {"detector": "adwin"}},
        {"drift": {"adapt_every": 5}},
        {"drift": {"detector": "off"}},
        {"canary": {"windows": 0}},
        {"average": 1},
        *({"optimiser": word} for word in ("sgd", "adam", "nadam", "radam", "adamax", "rmsprop")),
        *({"weighting": word} for word in ("dwa", "uncertainty", "famo", "nash-mtl", "gradnorm")),
    ],
    ids=str,
)
def test_a_checkpoint_is_gone_on_from_though_the_configuration_was_changed_since(changed, back):
    settings = [TRAINING, TRAINING | changed]
    before, after = (layout(each) for each in (reversed(settings) if back else settings))
    stood = packed(learned(Learner(before, 0, MemoryRegistry()), STREAM[:30]).state_dict())
    learner = Learner(after, 0, MemoryRegistry())
    learner.load_state_dict(unpacked(stood))
    assert weights(learner) == unpacked(stood)["weights"]
    steps = learner.steps
    learned(learner, STREAM[30:])
    assert learner.steps > steps
