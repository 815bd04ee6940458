"""Sources of labels are believed as far as the network, taught by the others, believes them."""

import numpy as np
import pytest

from trainer.reliability import Sources, weighed

BELIEF = {1: 0.7, 0: 0.9}
"""What a network that has learned something gives to a right label, by class: the rare one is believed less."""


def told(right: dict[str, float], labels: int = 400, positives: float = 0.3) -> Sources:
    """Sources that are right so often, before a network of which `BELIEF` holds on average."""
    rng = np.random.default_rng(0)
    sources = Sources({"fault": 2})
    for _ in range(labels):
        for name, share in right.items():
            truth = int(rng.random() < positives)
            value = truth if rng.random() < share else 1 - truth
            belief = BELIEF[truth] if value == truth else 1.0 - BELIEF[truth]
            sources.add(name, "fault", value, float(np.clip(belief + rng.normal() * 0.1, 0.0, 1.0)))
    return sources


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_reliability_is_about_the_share_of_right_labels_where_others_are_right(share: float) -> None:
    sources = told({"a": 1.0, "b": 1.0, "c": 1.0, "m": share})
    assert sources.of("m").reliability == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize(("share", "suspects"), [(0.0, ["m"]), (0.3, ["m"]), (0.8, []), (0.95, [])])
def test_only_who_is_wrong_more_often_than_right_is_suspect(share: float, suspects: list[str]) -> None:
    assert list(told({"a": 0.95, "b": 0.95, "c": 0.95, "m": share}).suspects()) == suspects


def test_nobody_is_suspected_on_few_labels_or_alone_or_by_an_untrained_network(monkeypatch) -> None:
    few, alone = told({"a": 0.95, "m": 0.0}, labels=30), told({"m": 0.0})
    monkeypatch.setitem(BELIEF, 1, 0.5)
    monkeypatch.setitem(BELIEF, 0, 0.5)
    untrained = told({"a": 0.95, "b": 0.95, "m": 0.0})
    assert [few.suspects(), alone.suspects(), untrained.suspects()] == [{}, {}, {}]


def test_who_tells_only_the_rare_class_is_not_held_against_the_common_one() -> None:
    sources = told({"a": 0.95, "b": 0.95})
    for _ in range(100):
        sources.add("nurse", "fault", 1, BELIEF[1])
    assert sources.of("nurse").reliability > 0.85


def test_a_source_that_was_honest_for_long_is_suspected_once_it_turned() -> None:
    sources = told({"a": 0.95, "b": 0.95, "m": 1.0}, labels=1_000)
    for _ in range(600):
        sources.add("m", "fault", 1, 1.0 - BELIEF[0])
    assert list(sources.suspects()) == ["m"]


def test_a_source_that_is_forgotten_shows_itself_afresh() -> None:
    sources = told({"a": 0.95, "m": 0.0})
    sources.forget("m")
    assert (sources.of("m").labels, sources.of("m").reliability) == (0.0, 0.9)


def test_labels_of_tasks_and_classes_that_the_monitor_has_no_more_say_nothing_of_their_source() -> None:
    told = [("anna", "fault", 1, 0.9), ("ben", "fault", 0, 0.8)] * 30
    former = [("anna", "sepsis", 1, 0.1), ("anna", "fault", 2, 0.1)] * 30
    assert weighed({"fault": 2}, told + former).of("anna") == weighed({"fault": 2}, told).of("anna")
