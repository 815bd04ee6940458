"""A duration horizon teaches the newest value within it, and only where the rows reach past its end."""

from datetime import timedelta

import numpy as np

from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import WARD, batch
from trainer.lesson import lesson_of
from trainer.slots import Slots
from trainer.windows import WindowBuffer, window_template

TASKS = [{"name": "forecast", "kind": "forecast", "horizons": [1, "2m"]}, {"name": "anomaly", "kind": "anomaly"}]


def test_windows_reach_far_enough_for_most_targets():
    training = {"window": 4, "rows_ahead": 3, "inject_rate": 0.0}
    layout = Layout(Monitor.model_validate(WARD | {"tasks": TASKS, "rules": [], "training": training}))
    assert layout.forecast.horizons == (1, timedelta(minutes=2))
    buffer = WindowBuffer(layout, Slots(window_template(layout)))
    values = np.full((7, 7), 60.0)
    values[:, 0] = [70, 71, np.nan, 73, 74, 75, 76]
    time_ms = np.array([0, 1, 2, 3, 9, 10, 11]) * 60_000
    ((windows, _),) = buffer.add(batch(np.zeros(7, dtype=np.int64), values, time_ms))
    lesson = lesson_of(windows, layout, np.random.default_rng(0))
    heart_rate = lesson.targets.future_NSH[lesson.rows.real_N][:, 0]
    np.testing.assert_array_equal(heart_rate, [[71, 71], [np.nan, 73], [73, 73], [74, np.nan]])
