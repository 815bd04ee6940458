"""Champion and challenger are judged by what came after they had answered, and by nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest

from schemas.layout import Layout
from schemas.monitor import Monitor
from scorer.questions import Questions, question_template
from scorer.store import Store
from tests.laws.ward import TOPIC

SOON = {"name": "soon", "kind": "state", "classes": ["calm", "storm"]}
SETTLED = SOON | {"target": {"rule": "r", "cuts": [3], "within": 2}}
QUANTILES = np.array([0.1, 0.5, 0.9])
NOTHING = [(0, 0)] * 12


def plain(*horizons, tasks=(SETTLED,), signal=None) -> Layout:
    forecast = {"name": "forecast", "kind": "forecast", "horizons": horizons or [1], "quantiles": QUANTILES.tolist()}
    content = {
        "monitor": "plain",
        "topics": {"observations": "t"},
        "modalities": [{"name": "heart", "signals": [{"name": "hr"} | (signal or {})]}],
        "tasks": [forecast, {"name": "anomaly", "kind": "anomaly"}, *tasks],
        "rules": [{"name": "r", "kind": "move", "signal": "hr"}],
    }
    return Layout(Monitor.model_validate(content))


def answers(layout, values, centres, storms=NOTHING, rules=(0,) * 12, seconds=None, whose=None, scale=2.0, pieces=1):
    """What comes of rows; forecasts are (champion's, challenger's) centres +- 1, at all horizons alike."""
    store, n = Store(question_template(layout)), len(values)
    questions, found = Questions(layout, store), []
    names = ["one"] * n if whose is None else [str(each) for each in whose]
    columns = [np.array(each[:n], dtype=np.float64) for each in (values, centres, storms, rules)]
    time_ms = 1000 * np.arange(n) if seconds is None else 1000 * np.array(seconds)
    for rows in np.array_split(np.arange(n), pieces):
        slot = np.array(store.slots(TOPIC, [names[row] for row in rows]))
        value, centre, storm, rule = (column[rows] for column in columns)
        band = centre[:, :, None, None, None] + np.array([-1, 0, 1]) + np.zeros((len(layout.forecast.horizons), 1))
        both = [
            SimpleNamespace(
                batch=SimpleNamespace(values=value[:, None], time_ms=time_ms[rows]),
                forecast=band[:, side],
                states=tuple(np.stack([1 - storm[:, side], storm[:, side]], -1) for _ in layout.states),
                rules=rule[:, None],
                scale=np.full((len(rows), 1), scale),
            )
            for side in (0, 1)
        ]
        found.append(questions.ask(*both, slot, np.ones(len(rows), dtype=np.bool_)))
    return found


def loss(error: float, horizon: int = 1) -> float:
    """Of a forecast that is so far above what came, by hand: in units of what persistence costs."""
    pinball = [
        max(q * -(error + band), (1 - q) * (error + band)) for q, band in zip(QUANTILES, (-1, 0, 1), strict=True)
    ]
    return sum(pinball) / 3 / (0.5 * 2.0 * horizon**0.5)


def judged(loss_NV):
    """Row -> both losses, where there are any."""
    return {row: pytest.approx(each.tolist()) for row, each in enumerate(loss_NV) if not np.isnan(each[0])}


def test_a_forecast_is_judged_by_the_next_row_in_units_of_the_usual_change():
    (found,) = answers(plain(), [0, 2, 4, 6], [(0, 4), (4, 4), (4, 6), (0, 0)])
    expected = {1: [loss(-2), loss(2)], 2: [loss(0), loss(0)], 3: [loss(-2), loss(0)]}
    assert judged(found.loss["forecast.h1"]) == expected
    assert found.inside["forecast.h1"].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1], [1, 0, 1]]


def test_each_horizon_is_judged_by_the_row_it_looked_for_and_asked_again_only_then():
    centres = [(0, 1), *[(50, 50)] * 2, (3, 0), *[(50, 50)] * 2, (0, 0)]
    (found,) = answers(plain(1, 3), [0, 9, 9, 1, 9, 9, 3], centres)
    assert judged(found.loss["forecast.h3"]) == {
        3: [loss(-1, 3), loss(0, 3)],
        6: [loss(0, 3), loss(-3, 3)],
    }
    assert found.inside["forecast.h3"][[3, 6]].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert sorted(judged(found.loss["forecast.h1"])) == [1, 2, 3, 4, 5, 6]


def test_a_duration_is_judged_by_the_newest_value_within_it_once_it_is_over():
    values, seconds = [0, 3, np.nan, 7, 8, 9], [0, 5, 9, 11, 12, 40]
    (found,) = answers(plain(1, "10s"), values, [(3, 4), *[(50, 50)] * 2, (8, 5), *[(50, 50)] * 2], seconds=seconds)
    assert judged(found.loss["forecast.h10s"]) == {
        3: [loss(0, 6), loss(1, 6)],
        5: [loss(0, 6), loss(-3, 6)],
    }


def test_a_duration_in_which_nothing_came_judges_nobody():
    (found,) = answers(plain(1, "10s"), [0, 3, 4], [(0, 0)] * 3, seconds=[0, 20, 40])
    assert judged(found.loss["forecast.h10s"]) == {}


def test_what_waits_takes_no_more_room_the_further_a_question_looks():
    near, far = (
        {name: value.nbytes for name, value in question_template(plain(1, rows, span)).items()}
        for rows, span in ((2, "1s"), (96, "30d"))
    )
    assert near == far


def test_only_what_rows_settle_is_asked():
    told = {"name": "died", "kind": "event"}, {"name": "shock", "kind": "event", "within": 6}, SOON | {"name": "later"}
    (found,) = answers(plain(1, 3, tasks=(SETTLED, *told)), [0, 1], [(0, 0)] * 2)
    assert set(found.loss) == {"forecast.h1", "forecast.h3", "soon"}


def test_what_is_modelled_as_its_logarithm_is_judged_so():
    layout = plain(1, signal={"transform": "log-return", "range": [1e-6, 1e6]})
    band = np.log([99.0, 100.0, 101.0])
    (found,) = answers(layout, [100, 100 * np.e], [(100, 100)] * 2, scale=1.0)
    ahead = np.log(100 * np.e) - band
    expected = (np.maximum(QUANTILES * ahead, (QUANTILES - 1) * ahead)).mean() / 0.5
    assert judged(found.loss["forecast.h1"]) == {1: [expected, expected]}


def test_one_wild_forecast_counts_no_more_than_ten_usual_changes():
    (found,) = answers(plain(), [0, 2], [(1e9, 2)] * 2)
    assert judged(found.loss["forecast.h1"]) == {1: [10.0, loss(0)]}


def test_a_value_that_did_not_come_judges_nobody():
    (found,) = answers(plain(), [0, 2, np.nan, 4], [(0, 0)] * 4)
    assert sorted(judged(found.loss["forecast.h1"])) == [1, 3]


def test_a_state_is_judged_by_the_worst_of_the_rows_that_follow_and_asked_again_only_then():
    (found,) = answers(plain(), [0] * 6, [(0, 0)] * 6, [(0.1, 0.9)] * 6, [9, 0, 3, 1, 2, 0])
    assert found.came["soon"].tolist() == [-1, -1, 1, -1, 0, -1]
    assert found.loss["soon"][[2, 4]] == pytest.approx(np.array([[1.62, 0.02], [0.02, 1.62]]), rel=1e-6)
    assert found.probability["soon"][2] == pytest.approx([0.1, 0.9])


def test_batches_do_not_matter():
    rng, n = np.random.default_rng(0), 120
    rows = rng.normal(size=n), rng.normal(size=(n, 2)), rng.random((n, 2)), rng.normal(2, 1, n)
    when = {"seconds": np.cumsum(rng.integers(1, 9, n)), "whose": rng.integers(0, 5, n)}
    layout = plain(1, 2, 5, "12s")
    (whole,), pieces = answers(layout, *rows, **when), answers(layout, *rows, **when, pieces=17)
    for question, loss_NV in whole.loss.items():
        np.testing.assert_array_equal(np.concatenate([each.loss[question] for each in pieces]), loss_NV)
        assert len(judged(loss_NV)) > 5


def test_sums_leave_out_what_was_not_judged():
    (found,) = answers(plain(), [0, 2, np.nan, 6], [(0, 4), (4, 4), (4, 6), (0, 0)], [(0.1, 0.9)] * 4)
    sums = found.sums(np.ones(4, dtype=np.bool_))
    assert (sums["forecast.h1.loss"][0], sums["forecast.h1.coverage"][0], sums["soon.loss"][0]) == (2.0, 2.0, 1.0)
    assert sums["soon.champion"][3:6] == pytest.approx((1.0, 0.1, 0.0))
