"""Log odds of a class before anything is learned: what followed where the rule stands now."""

import numpy as np
import torch

import schemas.task
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.rule import Rule, RuleKind
from schemas.task import Task, TaskKind
from trainer.network import Network
from trainer.rows import pack
from trainer.standing import Standing

LAYOUT = Layout(
    Monitor.model_validate(
        {
            "monitor": "ward",
            "topics": {"observations": "ward"},
            "modalities": [{"name": "heart", "signals": [{"name": "hr", "range": [0, 300]}, {"name": "temp"}]}],
            "rules": [{"name": "fast", "kind": "band", "signal": "hr", "high": 100, "severities": {"warning": 1}}],
            "tasks": [
                {"name": "forecast", "kind": "forecast"},
                {"name": "anomaly", "kind": "anomaly"},
                {
                    "name": "heat",
                    "kind": "state",
                    "classes": ["calm", "high", "extreme"],
                    "target": {"rule": "fast", "cuts": [1, 50], "within": 3},
                },
                {"name": "death", "kind": "event"},
            ],
        }
    )
)


def standings(heart_rates: list[float], layout: Layout = LAYOUT) -> tuple[torch.Tensor, ...]:
    values = np.column_stack([heart_rates, np.full(len(heart_rates), 37.0)])
    entity = np.arange(len(heart_rates))
    rows, order, _ = pack(entity, values, 60_000 * entity, layout)
    network = Network(layout).eval()
    outputs, _ = network(rows, network.initial(rows.waves[0]))
    return tuple(each[order] for each in outputs.standing)


def test_a_row_stands_where_its_rule_says_and_nowhere_without_its_signal():
    heat, death = standings([80.0, 120.0, 200.0, np.nan])
    assert (heat.tolist(), death.tolist()) == ([0, 1, 2, 3], [0, 0, 0, 0])


def test_before_anything_was_counted_the_class_that_is_stays_and_else_all_are_alike():
    heat, death = (odds.exp() for odds in Standing(LAYOUT)(standings([80.0, np.nan])))
    torch.testing.assert_close(heat, torch.tensor([[5 / 7, 1 / 7, 1 / 7], [1 / 3, 1 / 3, 1 / 3]]))
    torch.testing.assert_close(death, torch.full((2, 2), 0.5))


def test_what_followed_a_standing_becomes_its_odds_and_replays_do_not_count():
    standing, now = Standing(LAYOUT), torch.tensor([0, 0, 0, 0, 1])
    classes = torch.tensor([0, 0, 2, 0, 2]), torch.tensor([-1, -1, 1, 0, 1])
    for _ in range(3000):
        standing.learn((now, torch.zeros_like(now)), classes, torch.tensor([True, True, True, False, True]))
    heat, death = (odds.exp() for odds in standing((torch.tensor([0, 1]), torch.tensor([0, 0]))))
    expected = torch.tensor([[2 / 3, 0.0, 1 / 3], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(heat, expected, atol=3e-3, rtol=0)
    torch.testing.assert_close(death[0], torch.tensor([0.0, 1.0]), atol=1e-3, rtol=0)


def test_a_state_without_a_rule_has_its_base_rate_alone():
    pose, tasks = Task(name="pose", kind=TaskKind.STATE, classes=("up", "down")), LAYOUT.monitor.tasks
    layout = Layout(LAYOUT.monitor.model_copy(update={"tasks": (*tasks[:2], pose, *tasks[2:])}))
    found = standings([80.0, 120.0], layout)
    odds = Standing(layout)(found)[0].exp()
    assert ([each.tolist() for each in found], odds.tolist()) == ([[0, 0], [0, 1], [0, 0]], [[0.5, 0.5]] * 2)


def test_the_floor_of_a_standing_is_what_followed_the_milder_ones():
    standing = Standing(LAYOUT)
    milder = 1 / 7  # of five that stayed and one each of the others, fresh
    expected = torch.tensor([[0.0, 0, 0], [1, 2 / 7, milder], [1, 6 / 7, milder], [0, 0, 0]])
    torch.testing.assert_close(standing.floors(0), expected)


def banded() -> Layout:
    """The heat to come, counted by how hot the body has been."""
    usual = Rule(name="usual", kind=RuleKind.AVERAGE, signal="temp")
    heat = LAYOUT.monitor.tasks[2]
    assert heat.target is not None
    target = heat.target.model_copy(update={"standing": schemas.task.Standing(rule="usual", cuts=(36, 37, 38))})
    tasks = (*LAYOUT.monitor.tasks[:2], heat.model_copy(update={"target": target}))
    return Layout(LAYOUT.monitor.model_copy(update={"rules": (*LAYOUT.monitor.rules, usual), "tasks": tasks}))


def test_another_rule_may_say_where_a_row_stands() -> None:
    assert standings([80.0, 120.0, np.nan], banded())[0].tolist() == [2, 2, 2]  # all at 37


def test_a_band_never_entered_says_what_its_nearest_neighbour_says() -> None:
    standing, entered = Standing(banded()), torch.tensor([3])
    for _ in range(3000):
        standing.learn((entered,), (torch.tensor([2]),), torch.tensor([True]))
    odds = standing((torch.tensor([2, 3, 4]),))[0].exp()
    assert (odds[:2, 2] > 0.98).all()
    torch.testing.assert_close(odds[2], torch.tensor([5 / 7, 1 / 7, 1 / 7]))  # what is not known borrows nothing


def test_fresh_bands_of_a_states_own_rule_lean_towards_the_class_that_they_lie_in() -> None:
    heat = LAYOUT.monitor.tasks[2]
    assert heat.target is not None
    low, high = heat.target.cuts
    cuts = (low - 1.0, low, (low + high) / 2.0, high, high + 1.0)
    own = schemas.task.Standing(rule=heat.target.rule, cuts=cuts)
    target = heat.target.model_copy(update={"standing": own})
    tasks = (*LAYOUT.monitor.tasks[:2], heat.model_copy(update={"target": target}))
    standing = Standing(Layout(LAYOUT.monitor.model_copy(update={"tasks": tasks})))
    odds_WC = standing((torch.arange(7),))[0]
    assert odds_WC[:6].argmax(-1).tolist() == [0, 0, 1, 1, 2, 2]


def other(first: schemas.task.Standing) -> Layout:
    """Counted by another rule than the target's, and where that says nothing by how fast the heart is."""
    heat, usual = LAYOUT.monitor.tasks[2], Rule(name="usual", kind=RuleKind.AVERAGE, signal="temp")
    assert heat.target is not None
    target = heat.target.model_copy(update={"standing": first})
    tasks = (*LAYOUT.monitor.tasks[:2], heat.model_copy(update={"target": target}))
    return Layout(LAYOUT.monitor.model_copy(update={"rules": (*LAYOUT.monitor.rules, usual), "tasks": tasks}))


def test_where_one_rule_says_nothing_another_one_may_say_where_a_row_stands() -> None:
    quick = schemas.task.Standing(rule="fast", cuts=(1.0,))
    layout = other(schemas.task.Standing(rule="usual", cuts=(36.0, 38.0), otherwise=quick))
    values = np.array([[np.nan, 37.0], [80.0, np.nan], [120.0, np.nan], [120.0, 39.0], [np.nan, np.nan]])
    rows, order, _ = pack(np.arange(5), values, 60_000 * np.arange(5), layout)
    network = Network(layout).eval()
    outputs, _ = network(rows, network.initial(rows.waves[0]))
    # Three bands of the one, then two of the other, then none known.
    assert outputs.standing[0][order].tolist() == [1, 3, 4, 2, 5]


def test_bands_of_two_rules_lend_nothing_to_each_other_and_have_floors_of_their_own() -> None:
    quick = schemas.task.Standing(rule="fast", cuts=(1.0,))
    standing = Standing(other(schemas.task.Standing(rule="usual", cuts=(36.0, 38.0), otherwise=quick)))
    before = standing((torch.arange(6),))[0]
    for _ in range(3000):
        standing.learn((torch.tensor([2]),), (torch.tensor([2]),), torch.tensor([True]))
    after = standing((torch.arange(6),))[0]
    torch.testing.assert_close(after[3:], before[3:])
    assert after[1].exp()[2] > 0.98
    assert before[1].exp()[2] < 0.5
    floors_WC = standing.floors(0)
    assert not floors_WC[[0, 3, 5]].any()
    assert floors_WC[2, 2] > 0.98 > floors_WC[4, 2]


def test_fresh_bands_of_another_rule_are_ordered_and_lean_towards_the_first_class() -> None:
    layout = other(schemas.task.Standing(rule="usual", cuts=(35.0, 36.0, 37.0, 38.0)))
    odds_WC = Standing(layout)((torch.arange(6),))[0].exp()
    worst = odds_WC[:5, 2].tolist()
    assert worst == sorted(worst)
    assert worst[-1] > worst[0]
    assert (odds_WC[:5, 0] >= odds_WC[:5, 1:].max(-1).values).all()
