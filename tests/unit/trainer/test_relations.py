"""A value is placed among those of its entity's group, which a static signal says."""

import numpy as np
import pytest
import torch

from infra.memory import MemoryRegistry
from schemas.errors import ModelError
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import TRAINING, WARD, awake, batch, different, layout, run, stream
from trainer.fit import meet
from trainer.history import streams_of
from trainer.learner import Learner
from trainer.network import Network
from trainer.relations import N_RELATED, Relations
from trainer.rows import pack
from trainer.statistics import Statistics
from trainer.transfer import transfer
from trainer.weights import load_weights, save_weights

HR, AGE = 0, 6
CHILD, ADULT, ELDER = 8.0, 40.0, 80.0
BY_AGE = {"name": "generation", "by": "age", "groups": {"children": [8], "adults": [40, 41]}}
"""Elders are in no group."""


def related(**monitor) -> Layout:
    return Layout(Monitor.model_validate(WARD | {"knowledge": {"relations": [BY_AGE]}} | monitor))


def two_groups(rows: int, seed: int = 0):
    """Children's hearts beat at 120, others' at 70; ages come with every entity's first row alone."""
    entity, values, time_ms = stream(rows, 12, seed, missing=0.2)
    age_E = np.tile([CHILD, ADULT, ELDER], 4)
    noise = np.random.default_rng(seed).normal(size=rows)
    values[:, HR] = np.where(age_E[entity] == CHILD, 120.0, 70.0) + 3.0 * noise
    values[:, AGE] = np.nan
    first = np.unique(entity, return_index=True)[1]
    values[first, AGE] = age_E[entity[first]]
    return entity, values, time_ms


def taught(rows: int = 1200) -> Relations:
    _, values, _ = two_groups(rows)
    relations = Relations(related())
    age_N = np.where(values[:, HR] > 95.0, CHILD, ADULT)
    last_NS = torch.from_numpy(np.where(np.arange(7) == AGE, age_N[:, None], values))
    relations.learn(torch.from_numpy(values), last_NS)
    return relations


def placed(relations: Relations, age: float, hr: float) -> torch.Tensor:
    values = np.full((1, 7), np.nan)
    values[0, [HR, AGE]] = hr, age
    rows, _, _ = pack(np.zeros(1, dtype=np.int64), values, np.zeros(1, dtype=np.int64), related())
    statistics = Statistics(related())
    return relations(statistics.observe(statistics.initial(rows.waves[0]), rows))[0][:, 0]


def test_one_value_is_usual_in_one_group_and_high_in_another():
    relations = taught()
    (as_child, as_adult) = (placed(relations, age, 120.0)[0, HR] for age in (CHILD, ADULT))
    assert abs(float(as_child)) < 0.5
    assert float(as_adult) > 3.0


@pytest.mark.parametrize("age", [np.nan, ELDER], ids=["unknown", "in none"])
def test_without_a_group_nothing_is_said(age):
    assert placed(taught(), age, 120.0).abs().max() == 0.0


def test_before_a_group_was_seen_often_enough_nothing_is_said():
    assert placed(taught(rows=90), CHILD, 120.0).abs().max() == 0.0


def test_a_signal_never_seen_has_no_place():
    assert placed(taught(), CHILD, np.nan)[:, HR].abs().max() == 0.0


@pytest.mark.parametrize("model", [{}, {"cell": "transformer"}, {"sharing": "twins"}], ids=str)
def test_outputs_and_state_are_bit_identical_however_the_stream_is_grouped(model):
    network = awake(Network(related(model=model)))
    network.relations.load_state_dict(taught().state_dict())
    rows = two_groups(200, 1)
    whole, parts = (run(network, *rows, each) for each in ([], [17, 50, 51, 150]))
    assert different(whole[0], parts[0]) + different(whole[1], parts[1]) == []


def test_the_parallel_form_agrees_with_event_by_event_streaming():
    network = awake(Network(related(model={"half_state": False})))
    network.relations.load_state_dict(taught().state_dict())
    rows = two_groups(60, 1)
    parallel, streaming = (run(network, *rows, cuts)[0] for cuts in ([], range(1, 60)))
    for name in parallel:
        np.testing.assert_allclose(parallel[name], streaming[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_groups_are_read():
    blind, knowing = (awake(Network(related())) for _ in range(2))
    knowing.relations.load_state_dict(taught().state_dict())
    rows = two_groups(60, 1)
    assert "forecast_NSHQ" in different(run(blind, *rows)[0], run(knowing, *rows)[0])


def test_they_travel_with_the_weights():
    network = Network(related())
    network.relations.load_state_dict(taught().state_dict())
    loaded = load_weights(related(), save_weights(network))
    assert different(_arrays(loaded.relations), _arrays(network.relations)) == []


def test_other_relations_are_refused_by_name():
    content = save_weights(Network(related()))
    with pytest.raises(ModelError, match="weights: relation generation is in the file alone"):
        load_weights(layout(), content)


def test_a_trunk_starts_warm_where_relations_are_new():
    taken = transfer(related(), save_weights(Network(layout())))
    assert "trunk.encoder.input_MI2D" in taken.fresh
    assert taken.taken


def test_without_relations_the_weights_have_no_other_name_or_size():
    plain, with_them = (Network(each).state_dict() for each in (layout(), related()))
    assert {name for name in with_them if name not in plain} == {
        f"relations.0.{name}_TS" for name in ("count", "mean", "variance")
    }
    grown = with_them["forecast.skip_SGHQ"].shape[1] - plain["forecast.skip_SGHQ"].shape[1]
    assert grown == N_RELATED


def test_learning_online_meets_each_row_once_and_a_fit_comes_to_the_same_groups():
    entity, values, time_ms = two_groups(400)
    values[values[:, AGE] == ELDER, AGE] = ADULT
    online = Learner(related(training=TRAINING, model={"width": 8, "heads": 1}), 0, MemoryRegistry())
    online.observe(batch(entity, values, time_ms))
    fitted = Network(related())
    meet(fitted, list(streams_of([batch(entity, values, time_ms)], related(), {}, []).values()))
    groups = [network.relations[0] for network in (online.candidate.network, fitted)]
    np.testing.assert_allclose([each.mean_TS[:, HR] for each in groups], [[120.0, 70.0]] * 2, atol=1.0)
    assert [int(each.count_TS[:, HR].sum()) for each in groups] == [online.events, len(entity)]


def _arrays(relations: Relations) -> dict[str, np.ndarray]:
    return {name: each.numpy() for name, each in relations.state_dict().items()}
