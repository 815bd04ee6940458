"""Versions that a learner publishes, and checkpoints that it goes on from."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs

from infra.memory import MemoryRegistry
from schemas.label import Label
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.newest import UNKNOWN, Newest
from tests.laws.ward import TRAINING, WARD, autoregressive, batch, layout
from tests.unit.trainer.test_weights import stacked
from trainer.learner import Learner
from trainer.network import Network
from trainer.weights import save_weights


def published_without_gradients(stream) -> int:
    """The newest version, where steps are too small to teach anything and there is no state, whose odds need none."""
    registry = MemoryRegistry()
    whole = layout(TRAINING | {"learning_rate": 1e-12}).monitor
    learner = Learner(Layout(whole.model_copy(update={"tasks": whole.tasks[:2]})), 0, registry)
    for rows in stream:
        learner.observe(batch(*rows))
        learner.publish_if_proved()
    return registry.newest


def test_a_version_that_proved_nothing_is_not_published():
    steps = np.random.default_rng(3).normal(size=(120, 16, 7))  # of which nothing is to be foreseen
    walk = enumerate(80.0 + steps.cumsum(axis=0))
    assert published_without_gradients((np.arange(16), values, np.full(16, 60_000 * row)) for row, values in walk) == 0


def test_what_is_linear_in_a_forecast_is_learned_without_gradients():
    assert published_without_gradients(autoregressive(120, 16, 3)) > 0


def test_a_version_says_how_new_the_rows_were_by_both_clocks():
    class Told(MemoryRegistry):
        def publish(self, weights, parent, metrics, newest=UNKNOWN):
            told.append(newest)
            return super().publish(weights, parent, metrics, newest)

    told = []
    learner, written_ms = Learner(layout(TRAINING), 0, Told()), 0
    for number, rows in enumerate(autoregressive(120, 16, 3)):
        read = batch(*rows)
        written_ms = 10**12 + 1000 * number
        learner.observe(replace(read, recorded_ms=np.full(len(read), written_ms)))
        if learner.publish_if_proved():
            assert told == [Newest(int(read.time_ms.max()), written_ms)]
            return
    pytest.fail("no version proved itself")


def test_a_version_is_the_mean_of_the_last_steps_weights():
    registry = MemoryRegistry()
    learner, state = Learner(layout(TRAINING), 0, registry), {}
    for rows in autoregressive(120, 16, 3):
        learner.observe(batch(*rows))
        state = learner.state_dict()
        if learner.publish_if_proved():
            break
    version = registry.load(registry.get(registry.newest))
    assert version == state["average"]["weights"] != state["weights"]


def test_a_checkpoint_from_before_there_were_means_begins_one():
    registry = MemoryRegistry()
    learner, other = (Learner(layout(TRAINING), 0, registry) for _ in range(2))
    for rows in autoregressive(20, 16, 3):
        learner.observe(batch(*rows))
    state = learner.state_dict()
    assert state.pop("average")["weights"] != state["weights"]
    other.load_state_dict(state)
    assert other.state_dict()["average"] == {"weights": state["weights"], "steps": 0, "told": 0}


def test_a_checkpoint_from_before_each_private_path_was_a_module_is_gone_on_from():
    learner, other = (Learner(layout(TRAINING), 0, MemoryRegistry()) for _ in range(2))
    for rows in autoregressive(40, 16, 3):
        learner.observe(batch(*rows))
    state = learner.state_dict()
    descent, good = state["descent"], stacked(state["adaptation"]["good"])
    (group,) = descent["optimiser"]["param_groups"]
    fewer = descent["optimiser"] | {"param_groups": [group | {"params": group["params"][:-8]}]}
    old = {"descent": descent | {"optimiser": fewer}, "adaptation": state["adaptation"] | {"good": good}}
    other.load_state_dict(state | old)
    assert save_weights(other.candidate.network) == state["weights"]
    assert other.candidate.adaptation.state_dict()["good"].keys() == other.candidate.network.state_dict().keys()
    assert len(other.candidate.descent.state_dict()["optimiser"]["state"]) == 0


def test_a_version_without_private_paths_is_learned_from_and_that_is_said():
    registry, network = MemoryRegistry(), Network(layout(TRAINING))
    network.private = None
    registry.publish(save_weights(network), None, {})
    with capture_logs() as said:
        Learner(layout(TRAINING), 0, registry)
    event = "no private paths in the version: which tasks share is not judged"
    assert said == [{"event": event, "version": 1, "log_level": "warning"}]


def test_what_labels_taught_is_kept_under_the_regime_of_drift_that_it_was_taught_in():
    event = {"name": "death", "kind": "event", "weight": 0.2}
    ward = Layout(Monitor.model_validate(WARD | {"tasks": [*WARD["tasks"], event], "training": TRAINING}))
    learner = Learner(ward, 0, MemoryRegistry(), labelled=True)
    learner.observe(batch(np.arange(16), np.random.default_rng(1).uniform(1, 90, (16, 7)), np.arange(16) * 60_000))
    for regime, first in ((0, 0), (3, 8)):
        learner.candidate.adaptation._ladder.regime = regime
        learner.teach([Label(str(entity), "death", None, 0) for entity in range(first, first + 8)])
    assert Counter(regime for regime, _ in learner.hindsight._replay._strata) == {0: 8, 3: 8}
