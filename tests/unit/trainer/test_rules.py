import numpy as np
import pytest
from pydantic import ValidationError

from schemas.alert import Taken
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.rule import VITALS as SCORED
from trainer.news2 import NEWS2_BANDS
from trainer.rule_inputs import Known
from trainer.rules import Rules

DAY = 24 * 3600.0
VITALS = [
    "heart_rate",
    "respiratory_rate",
    "spo2",
    "systolic_bp",
    "temperature",
    "consciousness",
    "supplemental_oxygen",
]
CALM = [70.0, 16.0, 98.0, 120.0, 37.0, 15.0, 0.21]
NEWS2 = {
    "name": "news2",
    "kind": "news2",
    "severities": {"warning": 5},
    "inputs": {vital: vital for vital in VITALS},
}


def rules(*configured) -> Rules:
    monitor = {
        "monitor": "ward",
        "topics": {"observations": "vitals"},
        "modalities": [{"name": "vitals", "signals": [{"name": vital} for vital in VITALS]}],
        "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
        "rules": configured,
    }
    return Rules(Layout(Monitor.model_validate(monitor)))


NOTHING = np.empty(0)


def known(values, last=None, age=None, change=None, scale=None, still=0.0, average=None, since=0.0) -> Known:
    values = np.array(values, dtype=np.float64, ndmin=2)
    last = values if last is None else np.array(last, dtype=np.float64, ndmin=2)
    age = np.where(np.isnan(values), np.inf, 0.0) if age is None else np.array(age, ndmin=2)
    change = np.full_like(values, np.nan) if change is None else np.array(change, ndmin=2)
    scale = np.ones_like(values) if scale is None else np.array(scale, ndmin=2)
    average = values if average is None else np.array(average, ndmin=2)
    return Known(
        value=values,
        last=last,
        age=age,
        change=change,
        since=np.zeros_like(values) + since,
        scale=scale,
        still=np.zeros_like(values) + still,
        average=average,
        remembered=np.empty((len(values), 0)),
    )


def news2(vital: str, value: float) -> float:
    row = list(CALM)
    row[VITALS.index(vital)] = value
    return rules(NEWS2).score(known(row))[0, 0]


@pytest.mark.parametrize(
    ("vital", "value", "points"),
    [
        ("respiratory_rate", 1, 3), ("respiratory_rate", 8, 3), ("respiratory_rate", 9, 1),
        ("respiratory_rate", 11, 1), ("respiratory_rate", 12, 0), ("respiratory_rate", 20, 0),
        ("respiratory_rate", 21, 2), ("respiratory_rate", 24, 2), ("respiratory_rate", 25, 3),
        ("respiratory_rate", 60, 3),
        ("spo2", 50, 3), ("spo2", 91, 3), ("spo2", 92, 2), ("spo2", 93, 2), ("spo2", 94, 1), ("spo2", 95, 1),
        ("spo2", 96, 0), ("spo2", 100, 0),
        ("supplemental_oxygen", 0, 0), ("supplemental_oxygen", 0.21, 0), ("supplemental_oxygen", 0.24, 2),
        ("supplemental_oxygen", 1, 2),
        ("systolic_bp", 40, 3), ("systolic_bp", 90, 3), ("systolic_bp", 91, 2), ("systolic_bp", 100, 2),
        ("systolic_bp", 101, 1), ("systolic_bp", 110, 1), ("systolic_bp", 111, 0), ("systolic_bp", 219, 0),
        ("systolic_bp", 220, 3), ("systolic_bp", 300, 3),
        ("heart_rate", 20, 3), ("heart_rate", 40, 3), ("heart_rate", 41, 1), ("heart_rate", 50, 1),
        ("heart_rate", 51, 0), ("heart_rate", 90, 0), ("heart_rate", 91, 1), ("heart_rate", 110, 1),
        ("heart_rate", 111, 2), ("heart_rate", 130, 2), ("heart_rate", 131, 3), ("heart_rate", 200, 3),
        ("consciousness", 3, 3), ("consciousness", 14, 3), ("consciousness", 15, 0),
        ("temperature", 30.0, 3), ("temperature", 35.0, 3), ("temperature", 35.1, 1), ("temperature", 36.0, 1),
        ("temperature", 36.1, 0), ("temperature", 38.0, 0), ("temperature", 38.1, 1), ("temperature", 39.0, 1),
        ("temperature", 39.1, 2), ("temperature", 42.0, 2),
    ],
)  # fmt: skip
def test_news2_gives_the_points_of_the_chart(vital, value, points):
    assert news2(vital, value) == points


def test_values_between_two_steps_of_the_chart_are_rounded():
    assert [news2("heart_rate", 90.4), news2("heart_rate", 90.6), news2("temperature", 35.04)] == [0, 1, 3]


def test_the_worst_of_everything_is_twenty():
    assert rules(NEWS2).score(known([200, 60, 50, 40, 30.0, 3, 1]))[0, 0] == 20


def test_a_vital_sign_never_seen_counts_nothing():
    assert rules(NEWS2).score(known([131] + [np.nan] * 6))[0, 0] == 3


def test_a_vital_sign_seen_earlier_counts_until_it_is_a_day_old():
    nothing = [np.nan] * 6
    ages = [[0.0, age] + [np.inf] * 5 for age in (DAY, DAY + 1)]
    seen = known([[70.0, *nothing]] * 2, last=[[70.0, 30.0] + [np.nan] * 5] * 2, age=ages)
    assert rules(NEWS2).score(seen)[:, 0].tolist() == [3.0, 0.0]


def test_a_row_without_any_vital_sign_has_no_news2():
    assert np.isnan(rules(NEWS2).score(known([np.nan] * 7, last=CALM, age=[60.0] * 7))[0, 0])


def test_every_vital_that_may_be_configured_has_its_bands():
    assert tuple(NEWS2_BANDS) == SCORED


@pytest.mark.parametrize(("value", "distance"), [(84.0, 1.0), (85.0, 0.0), (90.0, 0.0), (100.0, 0.0), (103.0, 3.0)])
def test_a_band_measures_how_far_outside(value, distance):
    band = {"name": "band", "kind": "band", "signal": "spo2", "low": 85, "high": 100, "severities": {"warning": 0.5}}
    assert rules(band).score(known([70, 16, value, 120, 37, 15, 0]))[0, 0] == distance


def test_a_band_may_be_open_at_one_end():
    band = {"name": "band", "kind": "band", "signal": "spo2", "low": 85, "severities": {"warning": 0.5}}
    assert rules(band).score(known([70, 16, 1e9, 120, 37, 15, 0]))[0, 0] == 0.0


def test_a_move_is_the_change_in_typical_ones():
    move = {"name": "move", "kind": "move", "signal": "heart_rate", "severities": {"warning": 3}}
    seen = known([CALM] * 3, change=[[6.0] * 7, [np.nan] * 7, [0.0] * 7], scale=[[2.0] * 7] * 3)
    assert rules(move).score(seen)[:, 0].tolist() == [3.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", [{"kind": "band", "low": 85}, {"kind": "move"}, {"kind": "rise"}], ids=str)
def test_a_row_without_the_signal_has_no_score(kind):
    rule = {"name": "rule", "signal": "spo2", "severities": {"warning": 3}} | kind
    assert np.isnan(rules(rule).score(known([70, 16, np.nan, 120, 37, 15, 0]))[0, 0])


def test_no_rules_give_no_columns():
    assert rules().score(known([CALM] * 3)).shape == (3, 0)


def test_what_news2_took_adds_up_to_its_score():
    values = np.random.default_rng(5).uniform([30, 5, 80, 60, 33, 3, 0], [180, 40, 100, 240, 42, 15.4, 1], (200, 7))
    ages = np.random.default_rng(6).uniform(0, 1.5 * DAY, (200, 7))
    ages[:, 0] = 0.0
    judge = rules(NEWS2)
    points = [
        sum(each.points or 0.0 for _, each in judge.taken(0, *row, NOTHING)) for row in zip(values, ages, strict=True)
    ]
    np.testing.assert_array_equal(points, judge.score(known(values, age=ages))[:, 0])


def test_news2_takes_the_last_values_and_none_that_is_too_old():
    last, age = [131.0, 16.0, 98.0] + [np.nan] * 4, [0.0, 7200.0, DAY + 1] + [np.inf] * 4
    taken = rules(NEWS2).taken(0, np.array(last), np.array(age), NOTHING)
    missing = [(column, Taken(None, None)) for column in range(2, 7)]
    assert taken == [(0, Taken(131.0, 0.0, 3.0)), (1, Taken(16.0, 7200.0, 0.0)), *missing]


def test_what_is_taken_has_the_digits_of_a_float32():
    assert rules(NEWS2).taken(0, np.float64(np.float32([36.6] * 7)), np.zeros(7), NOTHING)[4][1].value == 36.6


@pytest.mark.parametrize("kind", [{"kind": "band", "low": 85}, {"kind": "move"}], ids=str)
def test_a_rule_of_one_signal_takes_the_rows_own_value(kind):
    rule = {"name": "rule", "signal": "spo2", "severities": {"warning": 3}} | kind
    assert rules(rule).taken(0, np.array(CALM), np.zeros(7), NOTHING) == [(2, Taken(98.0, 0.0))]


def test_what_is_frozen_is_as_long_so_as_the_liveliest_of_its_signals_in_multiples_of_its_rows():
    pair = {"a": "heart_rate", "b": "spo2"}
    frozen = {"name": "stuck", "kind": "frozen", "rows": 4, "inputs": pair, "severities": {"warning": 1}}
    rows = known([CALM, CALM, [np.nan] * 7], still=np.array([[8, 0, 6, 0, 0, 0, 0], [8, 0, 0, 0, 0, 0, 0], [9] * 7]))
    np.testing.assert_array_equal(rules(frozen).score(rows)[:, 0], [1.5, 0.0, np.nan])


def test_a_frozen_rule_reads_one_signal_too():
    frozen = {"name": "stuck", "kind": "frozen", "rows": 4, "signal": "spo2", "severities": {"warning": 1}}
    assert rules(frozen).score(known(CALM, still=2.0))[0, 0] == 0.5


FALL = {"name": "fall", "kind": "fall", "signal": "spo2", "severities": {"warning": 3}}


def test_a_fall_is_the_distance_below_the_value_before_and_a_rise_is_none() -> None:
    changes = [[np.nan, np.nan, change, *[np.nan] * 4] for change in (-4.0, 4.0, np.nan)]
    values = [CALM, CALM, CALM]
    assert rules(FALL).score(known(values, change=changes))[:, 0].tolist() == [4.0, 0.0, 0.0]


def test_a_fall_of_a_logarithm_is_in_percent() -> None:
    close = {"name": "close", "range": [0.01, 1e7], "transform": "log-return"}
    fall = {"name": "fall", "kind": "fall", "severities": {"warning": 3}}
    score = Rules(_desk(close, fall)).score(known([[95.0]], change=[[np.log(0.95)]]))
    assert score[0, 0] == pytest.approx(5.0)


def _desk(signal: dict[str, object], rule: dict[str, object]) -> Layout:
    """Of one signal, and a rule about it."""
    monitor = {
        "monitor": "desk",
        "topics": {"observations": "bars"},
        "modalities": [{"name": "price", "signals": [signal]}],
        "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
        "rules": [rule | {"signal": signal["name"]}],
    }
    return Layout(Monitor.model_validate(monitor))


def test_a_move_counts_in_both_directions() -> None:
    move = {"name": "move", "kind": "move", "signal": "spo2", "severities": {"warning": 3}}
    changes = [[np.nan, np.nan, change, *[np.nan] * 4] for change in (-4.0, 4.0)]
    assert rules(move).score(known([CALM, CALM], change=changes))[:, 0].tolist() == [4.0, 4.0]


def test_an_average_is_that_of_the_last_values_and_only_where_there_is_a_new_one() -> None:
    rule = {"name": "usual", "kind": "average", "signal": "spo2", "severities": {"warning": 97}}
    seen = known([CALM, [np.nan] * 7], average=[[96.5] * 7] * 2)
    np.testing.assert_array_equal(rules(rule).score(seen)[:, 0], [96.5, np.nan])


def test_an_average_of_a_logarithm_is_geometric() -> None:
    width = {"name": "width", "range": [0.01, 100], "transform": "log-return"}
    seen = known([[4.0]], average=[[np.log(2.0)]])
    assert Rules(_desk(width, {"name": "usual", "kind": "average", "severities": {"info": 1}})).score(seen) == (
        pytest.approx(2.0)
    )


def test_a_rule_that_raises_nothing_and_is_read_by_nothing_is_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"rules\.0\.severities: expected some, or a state task that reads the rule"
    ):
        rules({"name": "usual", "kind": "average", "signal": "spo2"})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"kind": "move"}, [4.0, 4.0, 4.0]),  # sizes in typical changes, whenever
        ({"kind": "move", "after": "1h"}, [0.0, 4.0, 4.0]),
        ({"kind": "fall", "after": "1h"}, [0.0, 0.0, 8.0]),
        ({"kind": "rise", "after": "1h"}, [0.0, 8.0, 0.0]),
    ],
)
def test_a_gap_is_one_line_a_jump_from_the_last_value_after_a_pause(line, said) -> None:
    rule = {"name": "gap", "signal": "spo2", "severities": {"warning": 3}} | line
    changes = [[np.nan, np.nan, change, *[np.nan] * 4] for change in (8.0, 8.0, -8.0)]
    seen = known([CALM] * 3, change=changes, scale=[[2.0] * 7] * 3, since=np.array([[60.0], [3600.0], [7200.0]]))
    assert rules(rule).score(seen)[:, 0].tolist() == said


def test_a_gap_of_a_price_is_in_percent() -> None:
    close = {"name": "close", "range": [0.01, 1e7], "transform": "log-return"}
    gap = {"name": "gap-up", "kind": "rise", "after": "1h", "severities": {"warning": 3}}
    seen = known([[104.0]] * 2, change=[[np.log(1.04)], [np.nan]], since=4000.0)
    assert Rules(_desk(close, gap)).score(seen)[:, 0].tolist() == pytest.approx([4.0, 0.0])
