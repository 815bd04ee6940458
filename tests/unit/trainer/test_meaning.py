"""What a task means travels with its weights: those of another question are refused, or taken for another task's."""

import copy
import json
from dataclasses import replace

import pytest
from safetensors.torch import save

from infra.memory import MemoryRegistry
from schemas.errors import ModelError
from schemas.layout import Layout
from schemas.monitor import Monitor
from scorer.serving import ServingModels
from tests.laws.ward import TOPIC, TRAINING, WARD, autoregressive, awake, batch
from trainer.learner import Learner
from trainer.network import Network
from trainer.transfer import transfer
from trainer.weights import load_weights, read_weights, save_weights

FORECAST, ANOMALY, SOON = WARD["tasks"]
JUMP = WARD["rules"][0]
LEAP = {"name": "leap", "kind": "move", "signal": "sbp", "severities": {"warning": 3.0}}
TARGET = SOON["target"]
FAILS = {"name": "fails", "kind": "event", "within": "6h"}
OWN = ("standing.counts.0.seen_WC", "states.0.weight", "private.paths.2.first_PI", "private.states.0.weight")
"""Some weights of the state task alone."""


def ward(*, tasks=(FORECAST, ANOMALY, SOON), rules=(JUMP, LEAP), **more) -> Layout:
    return Layout(Monitor.model_validate(WARD | {"tasks": copy.deepcopy(tasks), "rules": rules} | more))


def asking(training=None, **target) -> Layout:
    """The ward whose state task has another target."""
    return ward(tasks=(FORECAST, ANOMALY, SOON | {"target": TARGET | target}), training=training or {})


def content_of(layout: Layout) -> bytes:
    return save_weights(awake(Network(layout)))


def refusal(there: Layout, here: Layout) -> str:
    with pytest.raises(ModelError) as refused:
        load_weights(here, content_of(there), "ward.safetensors")
    return str(refused.value)


def standing(*cuts, **more):
    return asking(standing={"rule": "leap", "cuts": cuts, **more})


HINT = " (`bellwether train --transfer` takes over what both have)"
OTHERS = {
    "rule": (asking(), asking(rule="leap"), "task soon: rule is 'jump' in the file, 'leap' in the monitor"),
    "cuts": (asking(), asking(cuts=[1.5, 4.0]), "task soon: cuts[1] is 3.0 in the file, 4.0 in the monitor"),
    "within": (asking(), asking(within=8), "task soon: within is 4 in the file, 8 in the monitor"),
    "a rule's own": (
        asking(),
        ward(rules=(JUMP | {"signal": "rr"}, LEAP)),
        "task soon: rules.jump.signal is 'hr' in the file, 'rr' in the monitor",
    ),
    "classes": (
        asking(),
        ward(tasks=(FORECAST, ANOMALY, SOON | {"classes": ["calm", "moving", "gale"]})),
        "task soon: classes[2] is 'storm' in the file, 'gale' in the monitor",
    ),
    "standing": (standing(1, 2), standing(1, 3), "task soon: standing.cuts[1] is 2.0 in the file, 3.0 in the monitor"),
    "a standing's rule's own": (
        standing(1, 2),
        ward(
            tasks=(FORECAST, ANOMALY, SOON | {"target": TARGET | {"standing": {"rule": "leap", "cuts": [1, 2]}}}),
            rules=(JUMP, LEAP | {"after": "6s"}),
        ),
        "task soon: rules.leap.after is None in the file, 'PT6S' in the monitor",
    ),
    "kind": (
        ward(tasks=(FORECAST, ANOMALY, {"name": "fails", "kind": "state", "classes": ["no", "yes"]})),
        ward(tasks=(FORECAST, ANOMALY, {"name": "fails", "kind": "event"})),
        "task fails: kind is 'state' in the file, 'event' in the monitor",
    ),
    "an event's within": (
        ward(tasks=(FORECAST, ANOMALY, FAILS)),
        ward(tasks=(FORECAST, ANOMALY, FAILS | {"within": "12h"})),
        "task fails: within is '6h' in the file, '12h' in the monitor",
    ),
    "loss": (
        asking(),
        ward(tasks=(FORECAST | {"loss": "mse"}, ANOMALY, SOON)),
        "the forecast task: loss.name is 'pinball' in the file, 'mse' in the monitor",
    ),
    "quantiles": (
        asking(),
        ward(tasks=(FORECAST | {"quantiles": [0.05, 0.25, 0.5, 0.95]}, ANOMALY, SOON)),
        "the forecast task: quantiles[3] is 0.9 in the file, 0.95 in the monitor",
    ),
    "horizons": (
        asking(),
        ward(tasks=(FORECAST | {"horizons": [1, 4, 6]}, ANOMALY, SOON)),
        "the forecast task: horizons is ['h1', 'h4'] in the file, ['h1', 'h4', 'h6'] in the monitor",
    ),
    "outcomes": (
        ward(tasks=(FORECAST, ANOMALY, SOON, FAILS)),
        asking(),
        "task fails is in the file alone; --outcomes brings such tasks",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_weights_whose_task_means_something_else_are_refused_by_the_field(name):
    there, here, words = OTHERS[name]
    assert refusal(there, here) == f"ward.safetensors: {words}{HINT}"


FREE = {
    "weight, share, alerts": ward(
        tasks=(
            FORECAST | {"name": "ahead", "weight": 0.5},
            ANOMALY | {"name": "odd"},
            SOON | {"weight": 3.0, "share": "always", "severities": {"warning": 0.4}, "alert_from": "moving"},
        )
    ),
    "a rule's alerts": ward(rules=(JUMP | {"severities": {"warning": 4.0}}, LEAP)),
    "a rule nobody reads": ward(rules=(JUMP, LEAP | {"signal": "rr"})),
    "a budget": ward(alerts={"budget": "0.5 per entity-day"}),
    "the loss that is the default": ward(tasks=(FORECAST | {"loss": "pinball"}, ANOMALY, SOON)),
}


@pytest.mark.parametrize("name", FREE)
def test_what_is_no_part_of_a_tasks_meaning_may_differ(name):
    assert save_weights(load_weights(FREE[name], content_of(ward()))) == save_weights(awake(Network(FREE[name])))


def from_before(layout: Layout) -> bytes:
    """Weights as they were saved when nothing was said of what tasks mean."""
    seen, weights = read_weights(content_of(layout))
    del seen["tasks"]
    return save(weights, metadata={"architecture": json.dumps(seen)})


def test_weights_from_before_meaning_was_written_down_are_loaded_as_ever():
    load_weights(asking(within=8), from_before(ward()))
    with pytest.raises(ModelError, match=r"task soon: standing.cuts\[1\] is 2.0 in the file, 3.0 in the monitor"):
        load_weights(standing(1, 3), from_before(standing(1, 2)))


def test_a_task_that_asks_something_else_takes_nothing_over_and_says_why():
    found = transfer(asking(within=8), content_of(ward()))
    assert set(OWN) <= set(found.fresh)
    assert "trunk.encoder.input_MI2D" in found.taken
    assert found.others == {"task soon": "within is 4 in the file, 8 in the monitor"}


def test_a_task_that_only_learns_by_another_loss_is_taken_over():
    found = transfer(ward(tasks=(FORECAST, ANOMALY, SOON | {"loss": "focal"})), content_of(ward()))
    assert (found.partly, found.fresh, found.others) == ((), (), {})


def test_of_weights_from_before_a_task_of_the_same_classes_is_taken_over():
    found = transfer(asking(within=8), from_before(ward()))
    assert (found.fresh, found.others) == ((), {})


def test_a_task_with_a_standing_of_its_own_joins_a_network_that_had_none():
    found = transfer(standing(1, 2), content_of(ward()))
    assert set(OWN) <= set(found.fresh)
    assert found.others["task soon"].startswith("standing is None in the file, {'rule': 'leap'")


def test_trainers_of_a_monitor_that_was_changed_go_on_from_no_version_of_before_and_name_both() -> None:
    registry = MemoryRegistry()
    registry.publish(content_of(ward()), None, {})
    with pytest.raises(ModelError, match=r"^model version 1: task soon: within is 4 in the file, 8 in the monitor"):
        Learner(asking(within=8), 0, registry)
    learner = Learner(ward(), 0, registry)
    registry.publish(content_of(asking(within=8)), None, {})
    with pytest.raises(ModelError, match=r"^model version 2: task soon: within is 8 in the file, 4 in the monitor"):
        learner.follow(2, 0)


def test_they_go_on_once_a_transfer_serves_with_entities_that_begin_anew() -> None:
    registry, here = MemoryRegistry(), asking(TRAINING, within=8)
    registry.publish(content_of(asking(TRAINING)), None, {})
    before = Learner(asking(TRAINING), 0, registry)
    for rows in autoregressive(30, 20, 0):
        before.observe(batch(*rows))
    serving = ServingModels(here, registry, lambda: 0.0, every_seconds=0.0)
    assert (serving.version(), serving.fallback()) == (0, True)
    registry.publish(save_weights(transfer(here, registry.load(registry.get(1))).network), 1, {})
    registry._records[1] = replace(registry.get(2), made_by="train")
    serving.refresh()
    assert serving.version() == 2
    after = Learner(here, 0, registry)
    after.load_state_dict(before.state_dict())
    after.add_shares({TOPIC: before.share_of(TOPIC)})
    assert list(after.share_of(TOPIC)["entities"]) == []
    assert sum(report.refused is None for rows in autoregressive(40, 20, 1) for report in after.observe(batch(*rows)))
