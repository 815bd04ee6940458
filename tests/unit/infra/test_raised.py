"""Alerts in a backtest: each on its own entity's rows, and in the report as it stood in the end."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import infra
from infra.backtest import legend, raised
from infra.backtest.chart import charts
from infra.backtest.options import Options
from infra.backtest.page import page
from infra.backtest.run import Backtested, backtest
from infra.backtest.show import lines, show

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
    assert pd.isna(table["severity"][told.row])
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


def test_the_page_has_a_line_for_each_alert_with_who_raised_it_and_why(done: Backtested) -> None:
    found = page(done.report)
    assert "Raised: 2, open at the last row: 1." in found
    stopped = ("1", "silence stopped", "warning", "01:40:55", "01:40:55", "1", "02:30:01", "rule", "stopped (nothing")
    hot = ("2", "rule hot", "critical", "03:10:02", "03:11:02", "3", "open", "rule", "hot 3 (higher severity): load 17")
    for cells in (stopped, hot):
        places = [found.index(f'{cells[0]}<td data-of="alert">{cells[1]}')]
        for cell in cells[2:]:
            places.append(found.index(cell, places[-1]))
        assert "<tr" not in found[places[0] : places[-1]]


def test_what_was_left_out_of_the_page_is_said(done: Backtested, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raised, "MOST", 1)
    assert "The 1 worst are listed, 1 are left out." in page(done.report | {"alerts": done.table.raised.report()})


def test_a_silent_feed_is_marked_in_its_own_picture_by_a_dashed_line(done: Backtested) -> None:
    pictures = {chart.title[0]: chart.svg for chart in charts(done.table, None).shown}
    assert {name for name, svg in pictures.items() if "stroke-dasharray: " in svg} == {"1"}


def test_the_terminal_says_which_alarms_are_counted(done: Backtested, capsys: pytest.CaptureFixture[str]) -> None:
    show(done.report)
    said = " ".join(capsys.readouterr().out.split())
    assert "2 alerts, 1 open at the end; alarms are rows at which one opened or got worse, of: anomaly, rule;" in said
    assert "silence, 1, is counted apart" in said


def test_every_figure_of_every_task_is_explained(tmp_path: Path) -> None:
    """Labels, outcomes, a budget, silence, states, events and their warnings: what the last words of each mean."""
    settings = yaml.safe_load((Path(infra.__file__).parent / "monitors" / "health.yaml").read_text())
    settings["alerts"] |= {"budget": "0.5 per entity-day"}
    settings["tasks"] += [{"name": "death", "kind": "event", "severities": {"warning": 0.5}}]
    (tmp_path / "ward.yaml").write_text(json.dumps(settings | {"silence": {}}))
    rate = np.where(np.arange(240) % 40 < 20, 70.0, 140.0)
    hours = 1_700_000_000_000 + np.tile(np.arange(120), 2) * 3_600_000
    frame = pd.DataFrame({"entity": np.repeat(["a", "b"], 120), "time": hours})
    frame.assign(HR=rate, RespRate=rate / 5, label=rate > 100).to_csv(tmp_path / "a.csv", index=False)
    told = tmp_path / "outcomes.csv"
    told.write_text("entity,task,label,revealed_at\na,death,1,1700430000000\nb,death,0,1700430000000\n")
    report = backtest(Options(str(tmp_path / "ward.yaml"), (tmp_path / "a.csv",), learn=False, outcomes=told)).report
    figures = [(f"{task} {metric}", metric) for task, metric, *_ in lines(report)]
    plain = {"raw", "standardised", "h1, h2, ...", "to_h24", "warnings", "budget"}
    unexplained = [path for path, _ in figures if not {term for term, _ in legend.figures([path])} - plain]
    assert unexplained == []
    assert {"ewma", "random", "rule"} <= {name for name, _ in legend.baselines(report["baselines"])}
    page(report)
