"""NEWS2's SpO2 on both scales: the chart, on air and on oxygen, and whose scale it is."""

import numpy as np
import pytest

from schemas.layout import Layout
from schemas.monitor import Monitor
from trainer.rows import pack
from trainer.rule_inputs import known_of
from trainer.rules import Rules
from trainer.statistics import Statistics

DAY_MS = 24 * 3_600_000
NONE = np.nan
ON_AIR, ON_OXYGEN = 0.21, 0.28


def layout(**settings) -> Layout:
    rule = {
        "name": "news2",
        "kind": "news2",
        "severities": {"warning": 5},
        "inputs": {"spo2": "SaO2", "supplemental_oxygen": "FiO2"},
    }
    monitor = {
        "monitor": "ward",
        "topics": {"observations": "vitals"},
        "modalities": [
            {"name": "vitals", "signals": [{"name": "SaO2"}, {"name": "FiO2"}]},
            {"name": "admission", "scope": "static", "signals": [{"name": "Scale", "range": [1, 2]}]},
        ],
        "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
        "rules": [rule | settings],
    }
    return Layout(Monitor.model_validate(monitor))


def judged(of: Layout, values, time_ms=None):
    """Scores of one patient's rows (SaO2, FiO2, Scale), and what is known of them."""
    time_ms = np.arange(len(values)) if time_ms is None else np.array(time_ms)
    statistics = Statistics(of)
    rows, order, _ = pack(np.zeros(len(values), dtype=np.int64), np.array(values), time_ms, of)
    known = known_of(rows, statistics.observe(statistics.initial(rows.waves[0]), rows), of)
    return Rules(of).score(known)[order, 0].tolist(), known, order


def points(of: Layout, spo2: float, oxygen: float, scale: float = NONE) -> float:
    """Of SpO2 alone: oxygen itself is 2."""
    (score,), *_ = judged(of, [[spo2, oxygen, scale]])
    return score - (2.0 if oxygen > ON_AIR else 0.0)


CHART = [  # SpO2, scale 1, scale 2 on air, scale 2 on oxygen
    (70, 3, 3, 3), (83, 3, 3, 3), (84, 3, 2, 2), (85, 3, 2, 2), (86, 3, 1, 1), (87, 3, 1, 1), (88, 3, 0, 0),
    (91, 3, 0, 0), (92, 2, 0, 0), (93, 2, 0, 1), (94, 1, 0, 1), (95, 1, 0, 2), (96, 0, 0, 2), (97, 0, 0, 3),
    (100, 0, 0, 3),
]  # fmt: skip


@pytest.mark.parametrize(("spo2", "scale1", "air", "oxygen"), CHART)
def test_both_scales_give_the_points_of_the_chart(spo2: int, scale1: int, air: int, oxygen: int) -> None:
    first, second = layout(), layout(spo2_scale=2)
    assert [points(first, spo2, each) for each in (ON_AIR, ON_OXYGEN)] == [scale1, scale1]
    assert [points(second, spo2, each) for each in (ON_AIR, ON_OXYGEN)] == [air, oxygen]


@pytest.mark.parametrize(("spo2", "scale1", "air", "oxygen"), CHART)
def test_a_signal_says_which_patient_is_on_scale_2(spo2: int, scale1: int, air: int, oxygen: int) -> None:
    of = layout(spo2_scale="Scale")
    assert [points(of, spo2, each, 2) for each in (ON_AIR, ON_OXYGEN)] == [air, oxygen]
    assert [points(of, spo2, ON_OXYGEN, each) for each in (1, NONE)] == [scale1, scale1]


def test_without_word_of_oxygen_a_patient_breathes_air_and_a_day_later_again() -> None:
    values = [[97.0, NONE, NONE], [97.0, ON_OXYGEN, NONE], [97.0, NONE, NONE]]
    assert judged(layout(spo2_scale=2), values, [0, 1000, DAY_MS + 2000])[0] == [0.0, 5.0, 0.0]


def test_a_prescribed_scale_stands_for_the_whole_stay_and_until_another_is() -> None:
    values = [[90.0, NONE, 2.0], [90.0, NONE, NONE], [90.0, NONE, 1.0]]
    assert judged(layout(spo2_scale="Scale"), values, [0, 5 * DAY_MS, 6 * DAY_MS])[0] == [0.0, 0.0, 3.0]


def test_the_scale_is_among_what_was_taken_and_adds_nothing() -> None:
    of = layout(spo2_scale="Scale")
    _, known, order = judged(of, [[97.0, ON_OXYGEN, 2.0]])
    taken = Rules(of).taken(0, known.last[order[0]], known.age[order[0]], known.remembered[order[0]])
    assert [(of.names[column], each.value, each.points) for column, each in taken] == [
        ("SaO2", 97.0, 3.0),
        ("FiO2", 0.28, 2.0),
        ("Scale", 2.0, None),
    ]
