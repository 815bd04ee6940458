"""Alerts in a backtest: each on its own entity's rows, and in the report as it stood in the end."""

import json

import numpy as np
import pandas as pd
import pytest

from infra.backtest import raised
from infra.backtest.options import Options
from infra.backtest.run import Backtested, backtest

MONITOR = {
    "monitor": "pumps",
    "topics": {"observations": "pumps"},
    "modalities": [{"name": "all", "signals": [{"name": "load"}]}],
    "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
    "rules": [
        {"name": "hot", "kind": "band", "signal": "load", "high": 14, "severities": {"warning": 0.5, "critical": 3}}
    ],
    "silence": {"periods": {"load": "1m"}, "kinds": ["stopped"]},
    "alerts": {"threshold": 12, "critical": 15, "resolve_after": 2},
}
RETURNS = 150
"""The minute in which pump 1 comes back; it stopped at 100."""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Backtested:
    """Three pumps, a row a minute each, the second of which is silent for 50 minutes; the third runs hot at the end."""
    folder = tmp_path_factory.mktemp("raised")
    (folder / "pumps.yaml").write_text(json.dumps(MONITOR))
    minute, pump = np.repeat(np.arange(200), 3), np.tile(np.arange(3), 200)
    load = np.random.default_rng(0).normal(10.0, 1.0, 600)
    load[(pump == 2) & (minute >= 190)] = np.r_[15.0, 17.0, np.full(8, 15.0)]
    frame = pd.DataFrame({"entity": pump, "time": minute * 60_000 + pump * 1000, "load": load})
    silent = (pump == 1) & (minute >= 100) & (minute < RETURNS)
    frame[~silent].to_csv(folder / "a.csv", index=False)
    return backtest(Options(str(folder / "pumps.yaml"), (folder / "a.csv",), learn=False))


def test_that_a_feed_stopped_is_no_alert_of_the_entity_whose_row_told_it(done: Backtested) -> None:
    (told,) = (alarm for alarm in done.table.raised.alarms if alarm.source == "silence")
    table = done.table.frame()
    assert (told.entity, table["entity"][told.row]) == ("1", "0")
    assert not table["alert"][told.row]
    assert table["severity"][told.row] is None
    assert set(table["entity"][table["alert"]]) == {"2"}


def test_silence_is_counted_by_itself_and_of_other_alarms_it_is_said_what_raised_them(done: Backtested) -> None:
    tasks = done.report["tasks"]
    assert (tasks["silence"]["alarms"], tasks["silence"]["alarms_of"]) == (1, {"stopped": 1})
    assert (tasks["anomaly"]["alarms"], tasks["anomaly"]["alarms_of"]) == (2, {"anomaly": 0, "rule hot": 2})
    assert tasks["silence"]["alarms_per_entity_day"] == pytest.approx(tasks["anomaly"]["alarms_per_entity_day"] / 2)


def test_an_alert_is_listed_once_as_its_worst_moment_left_it(done: Backtested) -> None:
    found = done.report["alerts"]
    shown = ("entity", "source", "task", "kind", "severity", "rung", "started_at", "peak_at", "ended_at", "score")
    assert (found["total"], found["open"], found["left_out"]) == (2, 1, 0)
    assert [tuple(alert[name] for name in shown) for alert in found["listed"]] == [
        (
            *("1", "silence", "silence", "stopped", "warning", "rule"),
            *("1970-01-01T01:40:55.000Z", "1970-01-01T01:40:55.000Z", "1970-01-01T02:30:01.000Z", 1.0),
        ),
        (
            *("2", "rule", "hot", "band", "critical", "rule"),
            *("1970-01-01T03:10:02.000Z", "1970-01-01T03:11:02.000Z", None, 3.0),
        ),
    ]
    assert found["listed"][1]["summary"].startswith("hot 3 (higher severity): load 17")


def test_of_very_many_alerts_the_worst_are_listed_and_the_others_counted(
    done: Backtested, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raised, "MOST", 1)
    found = done.table.raised.report()
    assert (found["total"], found["left_out"], [alert["task"] for alert in found["listed"]]) == (2, 1, ["hot"])
