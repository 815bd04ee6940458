"""Champion and challenger are judged by what came after they had answered, and by nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest

from schemas.layout import Layout
from schemas.monitor import Monitor
from scorer.questions import Questions, question_template
from scorer.store import Store
from tests.laws.ward import TOPIC

PLAIN = {
    "monitor": "plain",
    "topics": {"observations": "t"},
    "modalities": [{"name": "heart", "signals": [{"name": "hr"}]}],
    "tasks": [
        {"name": "forecast", "kind": "forecast", "quantiles": [0.1, 0.5, 0.9]},
        {"name": "anomaly", "kind": "anomaly"},
        {
            "name": "soon",
            "kind": "state",
            "classes": ["calm", "storm"],
            "target": {"rule": "r", "cuts": [3], "within": 2},
        },
    ],
    "rules": [{"name": "r", "kind": "move", "signal": "hr"}],
}
LAYOUT = Layout(Monitor.model_validate(PLAIN))


def answers(values, centres, storms, rules, pieces=1):
    """What comes of rows of one entity; forecasts are (champion's, challenger's) centres +- 1."""
    store = Store(question_template(LAYOUT))
    questions, found = Questions(LAYOUT, store), []
    for rows in np.array_split(np.arange(len(values)), pieces):
        slot = np.array(store.slots(TOPIC, ["one"] * len(rows)))
        both = [
            SimpleNamespace(
                batch=SimpleNamespace(values=np.array(values, dtype=np.float64)[rows, None]),
                forecast=np.array(centres, dtype=np.float64)[rows, side][:, None, None, None] + np.array([-1, 0, 1]),
                states=(np.array([[1 - storms[row][side], storms[row][side]] for row in rows.tolist()]),),
                rules=np.array(rules, dtype=np.float64)[rows, None],
            )
            for side in (0, 1)
        ]
        found.append(questions.ask(*both, slot, np.ones(len(rows), dtype=np.bool_)))
    return found


def test_a_forecast_is_judged_by_the_next_row_in_units_of_the_usual_change():
    (found,) = answers([0, 2, 4, 6], [(0, 4), (4, 4), (4, 6), (0, 0)], [(0, 0)] * 4, [0] * 4)
    loss = found.loss["forecast"]
    on_spot, off_by_two = 2 * (0.1 + 0.1) / 3 / 2, 2 * (0.1 * 3 + 0.5 * 2 + 0.9 * 1) / 3 / 2
    expected = [[np.nan] * 2, [off_by_two] * 2, [on_spot] * 2, [off_by_two, on_spot]]
    assert loss == pytest.approx(np.array(expected), nan_ok=True)
    assert found.inside.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1], [1, 0, 1]]


def test_a_value_that_did_not_come_judges_nobody():
    (found,) = answers([0, 2, np.nan, 4], [(0, 0)] * 4, [(0, 0)] * 4, [0] * 4)
    assert np.isnan(found.loss["forecast"][:, 0]).tolist() == [True, False, True, False]


def test_a_state_is_judged_by_the_worst_of_the_rows_that_follow_and_asked_again_only_then():
    (found,) = answers([0] * 6, [(0, 0)] * 6, [(0.1, 0.9)] * 6, [9, 0, 3, 1, 2, 0])
    assert found.came["soon"].tolist() == [-1, -1, 1, -1, 0, -1]
    assert found.loss["soon"][[2, 4]] == pytest.approx(np.array([[1.62, 0.02], [0.02, 1.62]]), rel=1e-6)
    assert found.probability["soon"][2] == pytest.approx([0.1, 0.9])


def test_batches_do_not_matter():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=40), rng.normal(size=(40, 2)), rng.random((40, 2)).tolist(), rng.normal(2, 1, 40)
    (whole,), pieces = answers(*rows), answers(*rows, pieces=7)
    joined = [np.concatenate([each.loss[task] for each in pieces]) for task in ("forecast", "soon")]
    np.testing.assert_array_equal(joined, [whole.loss["forecast"], whole.loss["soon"]])


def test_sums_leave_out_what_was_not_judged():
    (found,) = answers([0, 2, np.nan, 6], [(0, 4), (4, 4), (4, 6), (0, 0)], [(0.1, 0.9)] * 4, [0] * 4)
    sums = found.sums(np.ones(4, dtype=np.bool_))
    assert (sums["forecast.loss"][0], sums["forecast.coverage"][0], sums["soon.loss"][0]) == (2.0, 2.0, 1.0)
    assert sums["soon.champion"][3:6] == pytest.approx((1.0, 0.1, 0.0))
