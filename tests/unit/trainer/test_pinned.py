import numpy as np
import pytest
import torch

from tests.laws.ward import TOPIC, layout
from trainer.network import Network
from trainer.pinned import Pinned

TASKS = 3


def network(value):
    """All weights alike."""
    found = Network(layout())
    with torch.no_grad():
        for weight in found.parameters():
            weight.fill_(value)
    return found


def offsets(step):
    """Of ten rows a step."""
    return {TOPIC: (10 * step, 10 * step + 10)}


def counted(steps, first=0.0):
    """What was copied in so many steps at rest, the n-th of which left weights of n."""
    pinned = Pinned(network(first))
    for step in range(1, steps + 1):
        pinned.count(network(float(step)), offsets(step), alarmed=False, resting=True)
    return pinned


def alarmed(steps):
    pinned = counted(steps)
    pinned.count(network(-1.0), offsets(steps + 1), alarmed=True, resting=False)
    return pinned


def held(pinned):
    """The weights that are pinned; None: none are."""
    return next(pinned.network.parameters()).detach().max().item() if pinned.held else None


def losses(*means, windows=64, seed=0):
    return np.array(means) + np.random.default_rng(seed).normal(size=(windows, TASKS)) * 0.02


@pytest.mark.parametrize(("steps", "expected"), [(5, 0.0), (40, 0.0), (48, 32.0), (79, 32.0), (80, 64.0)])
def test_a_copy_of_at_least_16_steps_ago_is_pinned_at_an_alarm(steps, expected):
    assert (held(counted(steps)), held(alarmed(steps))) == (None, expected)


def test_another_alarm_leaves_what_is_pinned():
    pinned = alarmed(90)
    for step in range(5):
        pinned.count(network(100.0 + step), {}, alarmed=False, resting=True)
    pinned.count(network(200.0), {}, alarmed=True, resting=False)
    assert held(pinned) == 64.0


@pytest.mark.parametrize(("later", "expected"), [(0, 415.0), (15, 415.0), (16, 431.0)])
def test_what_is_pinned_is_let_go_after_32_steps_at_rest_for_one_that_is_old_enough(later, expected):
    pinned = alarmed(90)
    for step in range(50):
        pinned.count(network(300.0 + step), {}, alarmed=False, resting=step < 20)
    assert held(pinned) == 64.0
    for step in range(32):
        pinned.count(network(400.0 + step), {}, alarmed=False, resting=True)
    assert held(pinned) is None
    for step in range(later):
        pinned.count(network(500.0 + step), {}, alarmed=False, resting=True)
    pinned.count(network(600.0), {}, alarmed=True, resting=False)
    assert held(pinned) == expected


@pytest.mark.parametrize(
    ("pinned_loss", "better"),
    [
        ((0.5, 1.0, 1.0), {"forecast"}),
        ((0.5, 1.0, 0.5), {"forecast", "soon"}),
        ((1.0, 1.0, 1.0), set()),
        ((0.99, 1.0, 1.0), set()),
        ((0.5, 1.2, 1.0), set()),
        ((1.5, 1.0, 1.0), set()),
    ],
)
def test_it_is_better_where_it_is_so_beyond_doubt_on_a_task_and_worse_on_none(pinned_loss, better):
    pinned = alarmed(90)
    pinned.judge(losses(*pinned_loss), losses(1.0, 1.0, 1.0, seed=1))
    assert set(pinned.better()) == better


def test_nothing_is_said_of_few_windows_nor_after_a_return_of_those_before():
    pinned = alarmed(90)
    pinned.judge(losses(0.5, 0.5, 0.5, windows=63), losses(1.0, 1.0, 1.0, windows=63))
    assert pinned.better() == {}
    pinned.judge(losses(0.5, 0.5, 0.5, windows=1), losses(1.0, 1.0, 1.0, windows=1))
    assert list(pinned.better()) == ["forecast", "anomaly", "soon"]
    other = network(0.0)
    weights, unlearned = pinned.given_back()
    other.load_state_dict(weights)
    assert unlearned == {TOPIC: (650, 920)}
    assert next(other.parameters()).detach().max().item() == 64.0
    assert (pinned.better(), pinned.given_back()[1]) == ({}, {})


def test_one_that_goes_on_where_another_stood_says_the_same():
    one, other = alarmed(90), Pinned(network(7.0))
    one.judge(losses(0.5, 1.0, 1.0, windows=60), losses(1.0, 1.0, 1.0, windows=60))
    other.load_state_dict(one.state_dict())
    for pinned in (one, other):
        pinned.judge(losses(0.5, 1.0, 1.0, windows=4, seed=3), losses(1.0, 1.0, 1.0, windows=4, seed=4))
    assert (held(other), other.better()) == (held(one), one.better())
    assert one.better() != {}


def test_what_was_learned_since_goes_with_its_partition_to_the_copies_that_are_the_same():
    one, other = alarmed(90), Pinned(network(7.0))
    other.load_state_dict(one.state_dict())
    other.add_since(TOPIC, one.since_of(TOPIC))
    assert other.since_of(TOPIC) == one.since_of(TOPIC) == [(64, 650, 920)]
    elsewhere = Pinned(network(7.0))
    elsewhere.add_since(TOPIC, one.since_of(TOPIC))
    assert elsewhere.since_of(TOPIC) == []
    assert other.given_back()[1] == {TOPIC: (650, 920)}


def test_one_from_before_copies_had_numbers_goes_on():
    one, other = alarmed(90), Pinned(network(7.0))
    state = one.state_dict()
    old = {"kept": [weights for _, weights in state["kept"]], "steps": 3, "held": True, "gate": state["gate"]}
    other.load_state_dict(old)
    assert held(other) == held(one) == 64.0


def test_no_copy_from_after_the_alarm_outlives_a_return():
    pinned = alarmed(90)
    for step in range(20):
        pinned.count(network(400.0 + step), {}, alarmed=False, resting=True)
    pinned.given_back()
    for step in range(12):
        pinned.count(network(500.0 + step), {}, alarmed=False, resting=True)
    pinned.count(network(600.0), {}, alarmed=True, resting=False)
    assert held(pinned) == 64.0
