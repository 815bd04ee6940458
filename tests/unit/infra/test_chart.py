"""The page of a backtest: one file with pictures, and no name of the data can break it."""

import html
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from infra.backtest.chart import Chart, Charts, charts
from infra.backtest.options import Options
from infra.backtest.outputs import Outputs
from infra.backtest.page import page
from infra.backtest.run import Backtested, backtest

NAME, SIGNAL = "<b>$1 & co", "O$T$ & <i>"
GREY, ORANGE, RED = "#808080", "#ff7f0e", "#d62728"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Backtested:
    """Two entities of 1,800 rows; one of them leaps for 30 labelled rows near the end."""
    rng = np.random.default_rng(3)
    value, label = rng.normal(size=3600), np.zeros(3600, dtype=int)
    value[3500:3530] += 40.0
    label[3500:3530] = 1
    hours = pd.date_range("2024-01-01", periods=1800, freq="h", tz="UTC").tolist()
    columns = {"entity": ["a"] * 1800 + [NAME] * 1800, "time": hours * 2, SIGNAL: value, "label": label}
    path = tmp_path_factory.mktemp("chart") / "a.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return backtest(Options(None, (path,), learn=False))


def colours(chart: Chart) -> set[str]:
    return set(re.findall(r"#[0-9a-f]{6}", chart.svg))


def test_the_entity_with_most_alerts_comes_first_where_it_had_them(done: Backtested) -> None:
    first, second = charts(done.table, done.label).shown
    assert first.title.startswith(f"{NAME}, ")
    assert first.title.endswith("1,500 of 1,800 rows")
    assert second.title.startswith("a, ")
    assert done.table.alert[3500:3530].any()
    assert colours(first) & {ORANGE, RED}
    assert GREY in colours(first)
    assert GREY not in colours(second)


def test_a_picture_is_well_formed_and_shows_names_as_they_are(done: Backtested) -> None:
    texts = {html.unescape(str(comment.text)) for comment in _comments(charts(done.table, done.label).shown[0].svg)}
    assert {f" {SIGNAL} ", " anomaly "} <= texts


def test_the_page_is_the_same_bytes_again_and_no_name_is_markup(done: Backtested, tmp_path: Path) -> None:
    files = [tmp_path / "1.html", tmp_path / "2.html"]
    for file in files:
        Outputs(None, file).write(done.table, done.report, done.label)
    first, second = (file.read_text() for file in files)
    assert first == second
    assert first.count("<svg") == 2
    assert "<b>$1" not in first
    assert "&lt;b&gt;$1 &amp; co" in first


def test_without_a_readable_row_there_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,x\nsoon,1\n1000,inf\n")
    found = backtest(Options(None, (path,), learn=False))
    assert charts(found.table, found.label) == Charts([], 0)


def test_where_only_some_entities_and_signals_are_drawn_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 5)), columns=list("vwxyz"))
    rows.assign(entity=np.arange(300) % 6, time=np.arange(300) * 60_000).to_csv(path, index=False)
    found = backtest(Options(None, (path,), learn=False))
    drawn = charts(found.table, found.label)
    assert (len(drawn.shown), drawn.entities) == (4, 6)
    assert all(chart.title.endswith("50 of 50 rows, 3 of 5 signals") for chart in drawn.shown)
    assert "<p>4 of 6 entities are drawn.</p>" in page(found.report, drawn)


def _comments(svg: str) -> list[ET.Element]:
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    return [each for each in ET.fromstring(svg, parser).iter() if each.tag is ET.Comment]
