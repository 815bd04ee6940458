"""Wherever a learner stands on the ladder, another one can go on from there, and ranks stand together."""

import pytest

from infra.memory import MemoryRegistry
from tests.laws.ward import TOPIC, TRAINING, layout
from tests.unit.trainer.test_adaptation import learned, learner_of, stream, weights
from tests.unit.trainer.test_ranks_learning import stepped, together
from trainer.checkpoint import packed, unpacked
from trainer.learner import Learner
from trainer.network import Network
from trainer.weights import save_weights

NERVOUS = {
    "windows_per_step": 4,
    "drift": {"threshold": 0.5, "patience": 8, "burst_steps": 4, "hurry_steps": 4},
    "canary": {"every": 4},
}
"""Alarms at next to nothing, so that a short stream climbs the whole ladder."""


@pytest.mark.parametrize("cut", [95, 125, 150])
def test_whatever_rung_a_learner_stands_on_one_that_goes_on_from_there_takes_the_same_steps(cut):
    rows = list(stream(175, 4, entities=8))
    one, other = learner_of(**NERVOUS), learner_of(**NERVOUS)
    learned(one, rows[:cut])
    state, share = packed(one.state_dict()), packed(one.share_of(TOPIC))
    one.load_state_dict(unpacked(state))
    other.load_state_dict(unpacked(state))
    other.add_shares({TOPIC: unpacked(share)})
    told = [learned(each, rows[cut:], first=cut) for each in (one, other)]
    assert told[0] == told[1]
    assert weights(one) == weights(other)


def test_a_nervous_learner_climbs_to_the_top():
    registry = MemoryRegistry()
    learned(learner_of(registry, **NERVOUS), stream(175, 4, entities=8))
    assert {"alarm", "hurry", "burst", "retrain"} <= {action.kind for *_, action in registry.actions}


def test_ranks_climb_together():
    def rank(number, group):
        learner = Learner(layout(TRAINING | NERVOUS), 0, registry, group=group)
        stepped(learner, group, list(stream(130, number, entities=8)))
        return weights(learner), learner.candidate.adaptation._ladder.regime

    registry = MemoryRegistry()
    registry.publish_first(save_weights(Network(layout(TRAINING))))
    first, second = together(2, rank)
    assert first == second
    assert first[1] > 0
    assert {"alarm", "hurry"} <= {action.kind for *_, action in registry.actions}
