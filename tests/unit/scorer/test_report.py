"""What an alert says: the values behind it, where they came from, and what they added to a rule's sum."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.alert import Alert, SignalReason, Taken
from schemas.layout import Layout
from schemas.monitor import Monitor
from scorer.scorer import Scorer, state_template
from scorer.stages.pipeline import AlertPipeline
from scorer.store import Store
from tests.laws.ward import TOPIC, batch

VITALS = {"heart_rate": "HR", "respiratory_rate": "RespRate", "consciousness": "GCS", "temperature": "Temp"}
WARD = {
    "monitor": "ward",
    "topics": {"observations": TOPIC.topic},
    "modalities": [{"name": "vitals", "signals": [{"name": name} for name in VITALS.values()]}],
    "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
    "rules": [
        {"name": "news2", "kind": "news2", "severities": {"warning": 5}, "inputs": VITALS},
        {"name": "tachycardia", "kind": "band", "signal": "HR", "high": 150, "severities": {"warning": 0.5}},
    ],
}
HOUR_MS = 3_600_000
NONE = np.nan


@pytest.fixture
def layout() -> Layout:
    return Layout(Monitor.model_validate(WARD))


def raised(layout: Layout, rows: list[list[float]], hours: list[float], cuts: tuple[int, ...] = ()) -> list[Alert]:
    """Alerts of one patient's rows, streamed in batches cut at `cuts`, without a network."""
    store = Store(state_template(layout))
    scorer, pipeline = Scorer(layout, store, lambda _: None), AlertPipeline(layout, store)
    times_ms = (np.array(hours) * HOUR_MS).astype(np.int64)
    alerts: list[Alert] = []
    for part in np.split(np.arange(len(rows)), cuts):
        stream = batch(np.zeros(len(part), dtype=np.int64), np.array(rows)[part], times_ms[part], int(part[0]))
        silent, versions = np.zeros(len(part), dtype=np.bool_), np.zeros(len(part), dtype=np.int64)
        alerts += pipeline.decide(scorer.score(stream, silent, versions))
    return alerts


def test_an_alert_of_news2_shows_every_vital_with_its_points(layout: Layout) -> None:
    (alert,) = raised(layout, [[112.0, 31.0, 15.0, NONE]], [0])
    assert alert.summary == "news2 5 (above threshold): RespRate 31 +3, HR 112 +2, GCS 15 +0; no Temp"
    assert [reason.taken for reason in alert.reasons] == [
        Taken(112.0, 0.0, 2.0),
        Taken(31.0, 0.0, 3.0),
        Taken(15.0, 0.0, 0.0),
        Taken(None, None, None),
    ]


def test_an_alert_of_a_band_shows_the_value_and_what_was_expected(layout: Layout) -> None:
    (alert,) = raised(layout, [[80.0, NONE, NONE, NONE], [160.0, NONE, NONE, NONE]], [0, 1])
    assert alert.summary == "tachycardia 10 (above threshold): HR 160 (expected 80)"
    (reason,) = alert.reasons
    assert replace(reason, evidence=0.0) == SignalReason("HR", 160.0, 80.0, 0.0, Taken(160.0, 0.0))


ROWS = [[NONE, NONE, 8.0, 37.0], [90.0, 16.0, NONE, NONE], [112.0, 24.0, NONE, NONE]]
"""Consciousness and temperature are measured once and carried forward."""


def test_a_value_from_an_earlier_row_is_shown_with_its_age(layout: Layout) -> None:
    (alert,) = raised(layout, ROWS, [0, 1, 2.5])
    assert alert.summary == (
        "news2 7 (above threshold): GCS 8 +3 (2.5h old), HR 112 +2, RespRate 24 +2, Temp 37 +0 (2.5h old)"
    )
    gcs = alert.reasons[2]
    assert (gcs.observed, gcs.taken) == (None, Taken(8.0, 9000.0, 3.0))


def test_a_value_older_than_a_day_is_not_taken(layout: Layout) -> None:
    alerts = raised(layout, [[NONE, NONE, 8.0, 36.0], [131.0, 25.0, NONE, NONE]], [0, 24.5])
    assert [alert.summary for alert in alerts] == ["news2 6 (above threshold): HR 131 +3, RespRate 25 +3; no GCS, Temp"]


def raised_by(rule: dict[str, object], rows: list[list[float]], hours: list[float]) -> list[str]:
    monitor = WARD | {"rules": [{"severities": {"warning": 1}} | rule]}
    return [alert.summary for alert in raised(Layout(Monitor.model_validate(monitor)), rows, hours)]


def test_an_alert_of_a_rate_shows_both_values_that_it_is_between() -> None:
    rate = {"name": "slowing", "kind": "rate", "signal": "HR", "low": -20, "per": "10m"}
    rows = [[value, NONE, NONE, NONE] for value in (90.0, 90.0, 54.0)]
    assert raised_by(rate, rows, [0, 0.5, 0.75]) == [
        "slowing 4 (above threshold): HR 54 (expected 90), HR 78 (10m old)"
    ]


def test_an_alert_of_what_is_missing_shows_how_long_and_what_it_was() -> None:
    missing = {"name": "no-temp", "kind": "missing", "signal": "Temp", "for": "30m"}
    rows = [[80.0, NONE, NONE, 37.0], [80.0, NONE, NONE, NONE]]
    assert raised_by(missing, rows, [0, 0.75]) == ["no-temp 1.5 x 30m (above threshold): Temp 37 (45m old)"]
    assert raised_by(missing, rows, [0, 48]) == ["no-temp 96 x 30m (above threshold): Temp 37 (2d old)"]
    assert raised_by(missing | {"signal": "GCS"}, rows, [0, 0.75]) == ["no-temp 1.5 x 30m (above threshold): no GCS"]


def test_an_alert_of_a_halt_shows_how_long_and_what_stands_still() -> None:
    halt = {"name": "halt", "kind": "frozen", "inputs": {"price": "HR", "volume": "Temp"}, "for": "10m"}
    rows = [[80.0, NONE, NONE, 37.0], [80.0, 16.0, NONE, NONE]]
    assert raised_by(halt, rows, [0, 0.2]) == [
        "halt 1.2 x 10m (above threshold): HR 80 (expected 80), Temp 37 (12m old)"
    ]


@pytest.mark.parametrize("cuts", [(1,), (2,), (1, 2)])
def test_what_an_alert_says_does_not_depend_on_batches(layout: Layout, cuts: tuple[int, ...]) -> None:
    assert raised(layout, ROWS, [0, 1, 2.5], cuts) == raised(layout, ROWS, [0, 1, 2.5])
