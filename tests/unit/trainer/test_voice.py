"""What ranks say is said once, by the first one, with how far they have come; all hear the same."""

from infra.memory import MemoryRegistry
from schemas.newest import Newest
from schemas.protocols import Action
from tests.laws.ward import TOPIC, TRAINING, layout
from tests.unit.trainer.test_ranks_learning import together
from trainer.network import Network
from trainer.voice import Voice
from trainer.weights import save_weights


def registry_of() -> MemoryRegistry:
    registry = MemoryRegistry()
    registry.publish(save_weights(Network(layout(TRAINING))), None, {})
    return registry


def test_a_version_is_published_once_and_all_ranks_hear_of_it():
    def rank(_, group):
        voice = Voice(registry, group)
        voice.against = voice.serving().version
        return voice.publish(network, {}, Newest())

    registry, network = registry_of(), Network(layout(TRAINING))
    assert together(2, rank) == [(2, False), (2, False)]
    assert (registry.newest, registry.get(2).parent) == (2, 1)


def test_the_newest_rows_of_all_ranks_count():
    def rank(number, group):
        return Voice(registry, group).newest([Newest(70, 0), Newest(50, 90)][number])

    registry = registry_of()
    assert together(2, rank) == [Newest(70, 90)] * 2


def test_what_is_written_down_says_how_far_the_ranks_had_come_and_once():
    def rank(_, group):
        voice = Voice(registry, group)
        voice.against, voice.steps, voice.events = 1, 7, 500
        voice.record({"forecast.loss": 0.5})
        voice.acted(Action("alarm", "forecast", "worse"))
        voice.learned_from(1)

    registry = registry_of()
    together(2, rank)
    assert registry.metrics == [(1, 7, 500, {"forecast.loss": 0.5})]
    assert registry.actions == [(1, 7, 500, Action("alarm", "forecast", "worse"))]
    assert registry.notes == [(1, "learned from", "trainer", "v1 serves no more")]


def test_each_rank_speaks_for_the_rows_that_it_refused():
    def rank(number, group):
        Voice(registry, group).quarantine("spike", {TOPIC: (number, number + 1)})

    registry = registry_of()
    together(2, rank)
    assert sorted(ranges[TOPIC] for _, ranges in registry.quarantined) == [(0, 1), (1, 2)]


def test_before_anything_was_published_the_version_is_0():
    voice = Voice(MemoryRegistry(), None)
    assert (voice.version, voice.serving(), voice.leads, voice.went_elsewhere(None)) == (0, None, True, False)
