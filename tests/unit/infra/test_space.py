import pytest

from infra.fitting.space import Axis, axis_of, drawn, nested
from infra.settings import load_monitor
from schemas.errors import ConfigError


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        axis_of(text)
    return str(caught.value)


def test_a_range_and_choices_are_read():
    assert [
        axis_of("fitting.learning_rate=1e-4..1e-2"),
        axis_of("model.cell=gru,ssm"),
        axis_of("model.heads=1..9"),
    ] == [
        Axis("fitting.learning_rate", (1e-4, 1e-2)),
        Axis("model.cell", None, ("gru", "ssm")),
        Axis("model.heads", (1, 9)),
    ]


def test_a_wide_range_is_drawn_by_orders_of_magnitude_and_a_narrow_one_evenly():
    wide, narrow = axis_of("fitting.learning_rate=1e-4..1e-2"), axis_of("fitting.hide_signals=0.0..0.5")
    points = drawn([wide, narrow], 2_000, 0)
    below = [sum(point[axis.field] < middle for point in points) for axis, middle in ((wide, 1e-3), (narrow, 0.25))]
    assert below == [pytest.approx(1_000, abs=100)] * 2


def test_the_same_seed_draws_the_same_points_and_more_trials_begin_with_the_same_ones():
    axes = [axis_of("fitting.learning_rate=1e-4..1e-2"), axis_of("model.width=16,32,64")]
    assert drawn(axes, 5, 3) == drawn(axes, 9, 3)[:5]
    assert drawn(axes, 5, 3) != drawn(axes, 5, 4)


def test_every_drawn_value_lies_between_the_ends():
    points = drawn([axis_of("model.private=0..3"), axis_of("fitting.weight_decay=0.0333..0.0334")], 200, 0)
    assert {point["model.private"] for point in points} == {0, 1, 2, 3}
    assert all(0.0333 <= point["fitting.weight_decay"] <= 0.0334 for point in points)


def test_a_point_is_nested_as_the_monitors_file_has_it():
    point = {"model.width": 16, "fitting.warm_up": 0.1, "model.cell": "gru"}
    assert nested(point) == {"model": {"width": 16, "cell": "gru"}, "fitting": {"warm_up": 0.1}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.width", "FIELD=LOW..HIGH"),
        ("alerts.budget=1..2", "a field of fitting, model, training"),
        ("training.learning_rate=1e-4..1e-2", "expected fitting.learning_rate: "),
        ("training.anchor=0,0.2", "training.anchor is learning online's"),
        ("training.drift.threshold=4,8", "training.drift is learning online's"),
        ("model.seed=0..9", "luck"),
        ("fitting.validation=0.1,0.3", "the same in every trial"),
        ("model.width=64..16", "the lower one first"),
        ("model.cell=gru..ssm", "two numbers"),
    ],
)
def test_what_cannot_be_searched_says_what_can(text, expected):
    assert expected in refusal(text)


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (
            {"model.blocks": 3},
            "command line: model.blocks: got 3; expected a key that there is: one of cell, experts, ",
        ),
        ({"model.width": 17}, "command line: model.width: got 17; expected a multiple of 8"),
        ({"model.cell": "lstm"}, "command line: model.cell: got 'lstm'; expected 'gru', 'mingru', "),
    ],
)
def test_a_drawn_value_is_refused_by_the_configuration_itself(point, expected):
    with pytest.raises(ConfigError) as caught:
        load_monitor("health", {}, point)
    assert expected in str(caught.value)
