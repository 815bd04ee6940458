import copy
from dataclasses import replace

import numpy as np
import pytest

from infra.memory import MemoryRegistry
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Partition, Status
from tests.laws.ward import TOPIC, TRAINING, WARD, batch, layout
from trainer.learner import Learner

RR, FLOW = 3, 4
LEVEL = np.array([80.0, 120.0, 60.0, 16.0, 0.0, 30.0, 60.0])


def rows(steps, seed=0, first=0, entities=16):
    """One batch a time: noise around a level, `rr` of about 16, `flow` nearly always 0; one partition."""
    rng = np.random.default_rng(seed)
    for step in range(first, first + steps):
        values = LEVEL + rng.normal(size=(entities, 7))
        values[:, FLOW] = rng.random(entities) < 0.1
        yield batch(np.arange(entities), values, np.full(entities, 60_000 * step), step * entities)


def learned(monitor=None):
    """A learner of 60 rows of each entity, and its registry."""
    registry = MemoryRegistry()
    learner = Learner(layout(TRAINING) if monitor is None else Layout(monitor), 0, registry)
    for each in rows(60):
        learner.observe(each)
    return learner, registry


def sifted(learner, rows):
    """Rows that were refused, and what was told of them."""
    found, refusals = learner._screen.sift(rows, learner.candidate.network.population.largest())
    return np.flatnonzero(found.status == Status.INVALID).tolist(), refusals


def wild(value, column=RR, row=2, **others):
    (found,) = rows(1, seed=1, first=60)
    found.values[row, column] = value
    return replace(found, **others)


@pytest.mark.parametrize("value", [1e30, -1e30, np.inf])
def test_rows_with_what_nothing_measures_are_marked_and_told_with_their_offsets(value):
    fresh = Learner(layout(TRAINING), 0, MemoryRegistry())
    poisoned = wild(value)
    poisoned.values[4, RR] = value
    assert sifted(fresh, poisoned) == ([2, 4], [("a value that nothing measures", {TOPIC: (962, 965)})])


@pytest.mark.parametrize("value", [np.nan, 0.0, -1e15, 1e15])
def test_before_anything_was_learned_large_values_are_measurements(value):
    assert sifted(Learner(layout(TRAINING), 0, MemoryRegistry()), wild(value)) == ([], [])


@pytest.mark.parametrize("value", [2e5, -1e6, 1e9, 1e12, 1e18])
def test_what_lies_far_beyond_all_that_an_entity_and_the_population_showed_is_impossible(value):
    learner, _ = learned()
    assert sifted(learner, wild(value)) == ([2], [("impossible beside all that was seen: rr", {TOPIC: (962, 963)})])


@pytest.mark.parametrize("value", [16.0 + 20 * 1.0, 160.0, -1000.0, 16_000.0])
def test_a_level_shift_ten_times_as_much_and_a_thousand_times_as_much_are_measurements(value):
    assert sifted(learned()[0], wild(value)) == ([], [])


def test_a_rare_event_of_a_signal_at_rest_and_an_entity_of_another_kind_are_measurements():
    learner, _ = learned()
    stranger = wild(1e6, entity=[f"other-{each}" for each in range(16)])
    assert sifted(learner, wild(1e5, column=FLOW)) == sifted(learner, stranger) == ([], [])


def test_a_billion_times_as_much_is_impossible_of_strangers_too():
    learner, _ = learned()
    assert sifted(learner, wild(1e12, column=FLOW))[0] == [2]
    assert sifted(learner, wild(1e12, entity=[f"other-{each}" for each in range(16)]))[0] == [2]


def test_what_lies_in_a_declared_range_is_never_impossible():
    declared = copy.deepcopy(WARD) | {"training": TRAINING}
    declared["modalities"][1]["signals"][1]["range"] = [0, 1e9]
    learner, _ = learned(Monitor.model_validate(declared))
    assert sifted(learner, wild(9e8)) == ([], [])


def test_each_partition_has_its_own_offsets():
    learner = Learner(layout(TRAINING), 0, MemoryRegistry())
    poisoned = wild(1e30, partition=np.arange(16) % 2, partitions=(TOPIC, Partition("vitals", 1)))
    poisoned.values[1, RR] = 1e30
    assert sifted(learner, poisoned)[1][0][1] == {TOPIC: (962, 963), Partition("vitals", 1): (961, 962)}


def test_what_an_entity_shows_for_256_rows_on_end_is_what_it_shows_now():
    learner, registry = learned()
    refused = []
    for each in rows(300, seed=2, first=60):
        each.values[5, RR] *= 1e7
        learner.take(each)
        refused.append(len(registry.quarantined))
    assert refused == [min(number, 256) for number in range(1, 301)]


def test_a_sound_row_between_starts_the_count_of_refusals_anew():
    learner, registry = learned()
    for number, each in enumerate(rows(300, seed=2, first=60)):
        each.values[5, RR] *= 1e7 if number % 100 else 1.0
        learner.take(each)
    assert len(registry.quarantined) == 297


def test_growth_within_one_batch_is_measured_by_the_rows_before():
    learner, _ = learned()
    grown = wild(16e3, entity=["0"] * 16, time_ms=60_000 * np.arange(60, 76))
    grown.values[3:, RR] = 16e6
    assert sifted(learner, grown) == ([], [])


def test_what_was_refused_is_not_remembered_either_and_told_once():
    registry = MemoryRegistry()
    learner = Learner(layout(TRAINING), 0, registry, labelled=True)
    for each in rows(60):
        learner.observe(each)
    learner.remember(wild(1e9))
    kept = [account.rows[-1][0] for account in learner.hindsight._accounts.values()]
    assert kept.count(60 * 60_000) == 15
    assert registry.quarantined == []
