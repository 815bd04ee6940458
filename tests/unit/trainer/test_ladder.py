"""What is done about drift, step by step."""

import numpy as np
import pytest
import torch

from schemas.components import DriftSettings
from trainer.ladder import Ladder

SETTINGS = DriftSettings(patience=12, hurry_steps=8, burst_steps=4)
CALM = 1.0 + 0.05 * np.random.default_rng(0).normal(size=400)


def climbed(losses, ladder=None, **changes):
    """Kinds of the actions that a task's losses bring about, each with its step."""
    ladder = ladder or Ladder(SETTINGS.model_copy(update=changes), ["forecast"], 2)
    told = [ladder.judge({"forecast": loss}, None) for loss in losses]
    return [(step, action.kind) for step, actions in enumerate(told) for action in actions]


def kinds(losses, **changes):
    return [kind for _, kind in climbed(losses, **changes)]


@pytest.mark.parametrize("detector", ["page-hinkley", "adwin"])
def test_where_nothing_changes_nothing_is_done(detector):
    assert climbed(CALM, detector=detector) == []


def test_losses_that_fall_are_no_drift():
    assert climbed(CALM - np.linspace(0.0, 0.5, 400)) == []


def test_losses_that_rise_and_come_back_are_met_by_hurrying_alone():
    risen = CALM + np.where((np.arange(400) >= 200) & (np.arange(400) < 212), 1.0, 0.0)
    assert kinds(risen, patience=40) == ["alarm", "hurry", "recovered"]


def test_losses_that_stay_up_are_met_by_one_rung_after_the_other_and_then_accepted():
    steps = climbed(CALM[:300] + np.where(np.arange(300) >= 200, 1.0, 0.0))
    assert [kind for _, kind in steps] == ["alarm", "hurry", "burst", "retrain", "accepted"]
    assert 200 <= steps[0][0] <= 205
    assert np.diff([step for step, _ in steps[1:]]).tolist() == [11, 12, 12]


def test_adwin_climbs_too():
    assert kinds(CALM[:300] + np.where(np.arange(300) >= 200, 1.0, 0.0), detector="adwin")[:3] == [
        "alarm",
        "hurry",
        "burst",
    ]


def test_without_adapters_the_ladder_has_a_rung_less():
    risen = CALM[:300] + np.where(np.arange(300) >= 200, 1.0, 0.0)
    assert kinds(risen, adapter_rank=0) == ["alarm", "hurry", "retrain", "accepted"]


def test_one_wild_step_is_no_drift():
    assert climbed(np.where(np.arange(400) == 200, 50.0, CALM)) == []


def test_the_learning_rate_fades_back_to_its_own():
    ladder = Ladder(SETTINGS, ["forecast"], 2)
    climbed(CALM[:200], ladder)
    rates = [ladder.rate]
    for _ in range(20):
        ladder.judge({"forecast": 2.0}, None)
        rates.append(ladder.rate)
    top = int(np.argmax(rates))
    assert (rates[0], max(rates) > 2.0) == (1.0, True)
    assert rates[top : top + 9] == sorted(rates[top : top + 9], reverse=True)
    assert rates[top + 8] == 1.0


def test_a_representation_that_moves_is_met_without_any_label():
    ladder, rng = Ladder(SETTINGS, ["forecast"], 2), np.random.default_rng(1)
    told = [
        action.kind
        for step in range(120)
        for action in ladder.judge({}, torch.from_numpy(rng.normal(size=2) + 30.0 * (step >= 100)))
    ]
    assert told == ["alarm", "hurry", "recovered"]


def test_spikes_that_do_not_end_are_an_alarm_at_once():
    ladder = Ladder(SETTINGS, ["forecast"], 2)
    climbed(CALM[:100], ladder)
    assert [action.kind for action in ladder.judge({"forecast": 9.0}, None, spikes=True)] == ["alarm", "hurry"]


@pytest.mark.parametrize("detector", ["page-hinkley", "adwin"])
def test_one_that_goes_on_where_another_stood_does_the_same(detector):
    risen = CALM[:300] + np.where(np.arange(300) >= 200, 1.0, 0.0)
    settings = SETTINGS.model_copy(update={"detector": detector})
    one, other = (Ladder(settings, ["forecast"], 2) for _ in range(2))
    climbed(risen[:220], one)
    other.load_state_dict(one.state_dict())
    assert climbed(risen[220:], other) == climbed(risen[220:], one) != []


def test_one_that_goes_on_with_fewer_rungs_stands_on_the_last_one():
    risen = CALM[:300] + np.where(np.arange(300) >= 200, 1.0, 0.0)
    more = Ladder(SETTINGS, ["forecast"], 2)
    last = max(step for step, kind in climbed(risen, more) if kind == "retrain")
    more = Ladder(SETTINGS, ["forecast"], 2)
    climbed(risen[: last + 1], more)
    fewer = Ladder(SETTINGS.model_copy(update={"adapter_rank": 0}), ["forecast"], 2)
    fewer.load_state_dict(more.state_dict())
    assert (fewer.bursting, fewer.rehearsing) == (False, True)
    assert [kind for _, kind in climbed(risen[last + 1 :], fewer)] == ["accepted"]
