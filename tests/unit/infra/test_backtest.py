"""The backtest contract: a row for each row, in input order, and no output that knows the future."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from infra.backtest.options import Options
from infra.backtest.run import backtest
from infra.backtest.table import signal_map
from infra.commands.backtest import backtest as command
from schemas.errors import ConfigError, InputError

ROWS, CHANGED_FROM = 2600, 2000


def wide(seed: int, spoil_after: int | None = None) -> pd.DataFrame:
    """Two entities, interleaved; rows from `spoil_after` on are replaced by noise."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(ROWS, 2)).cumsum(axis=0) + 50
    if spoil_after is not None:
        values[spoil_after:] = np.random.default_rng(99).normal(0, 500, size=(ROWS - spoil_after, 2))
    time = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(ROWS), unit="min")
    frame = pd.DataFrame({"entity": np.where(np.arange(ROWS) % 2, "a", "b"), "time": time.astype(str)})
    return frame.assign(**{"load %": values[:, 0], "temp": values[:, 1]})


def scores(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    frame.to_csv(path, index=False)
    return backtest(Options(None, (path,))).table.frame()


def test_replacing_the_future_changes_no_earlier_output(tmp_path: Path) -> None:
    seen, spoilt = scores(tmp_path / "a.csv", wide(1)), scores(tmp_path / "b.csv", wide(1, CHANGED_FROM))
    pd.testing.assert_frame_equal(seen[:CHANGED_FROM], spoilt[:CHANGED_FROM], check_exact=True)


def test_every_row_is_answered_in_input_order_with_the_contracts_columns(tmp_path: Path) -> None:
    frame = wide(2)[:400].sample(frac=1.0, random_state=3).reset_index(drop=True)
    frame.loc[7, "time"] = "soon"
    found = scores(tmp_path / "a.csv", frame)
    assert found["entity"].tolist() == frame["entity"].tolist()
    assert list(found.columns) == [
        *["entity", "time", "status", "anomaly", "alert", "severity", "state"],
        *[f"forecast.{signal}.h1.q{q}" for signal in ("load__", "temp") for q in ("0.1", "0.5", "0.9")],
    ]
    assert found["status"].value_counts().to_dict() == {"ok": 399, "invalid": 1}
    assert found["anomaly"].between(0, 1).all()
    assert found.loc[found["status"] == "ok", "forecast.temp.h1.q0.5"].notna().all()


def test_the_report_stands_beside_its_baselines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    wide(4)[:300].assign(label=(np.arange(300) % 50 == 0).astype(int)).to_csv(path, index=False)
    report = backtest(Options(None, (path,), learn=False)).report
    assert report["rows"]["all"] == 300
    assert report["tasks"]["forecast"]["raw"]["h1"]["mase"] == pytest.approx(1.0)
    assert set(report["baselines"]["random"]) == {"auroc", "auprc", "vus_pr"}
    assert report["signal_map"] == {"load %": "load__", "temp": "temp"}


def test_two_names_that_map_to_the_same_one_stay_apart() -> None:
    assert signal_map(["a b", "a_b"]) == {"a b": "a_b", "a_b": "a_b_2"}
    assert len(set(signal_map(["a-b", "a_b", "a.b", "a_b_2"]).values())) == 4


def test_labels_that_nothing_learns_from_are_refused_rather_than_ignored() -> None:
    with pytest.raises(ConfigError, match="--labels"):
        Options(None, (), learn=False, labels="online")


def test_labels_teach_the_head_and_never_before_they_are_revealed(tmp_path: Path) -> None:
    frame = wide(5).assign(label=(np.arange(ROWS) % 40 < 4).astype(int))
    frame.loc[frame["label"] == 1, "temp"] += 30
    path = tmp_path / "a.csv"
    frame.to_csv(path, index=False)
    taught, untaught, late = (
        backtest(Options(None, (path,), labels=labels, label_delay=delay))
        for labels, delay in (("online", 2), ("none", 0), ("online", timedelta(days=9)))
    )
    assert taught.report["learning"]["labels"] == ROWS - 4
    assert taught.report["tasks"]["anomaly"]["head"]["auroc"] > untaught.report["tasks"]["anomaly"]["head"]["auroc"]
    assert late.report["learning"]["labels"] == 0
    pd.testing.assert_frame_equal(late.table.frame(), untaught.table.frame(), check_exact=True)


def test_outcomes_make_an_event_task_whose_probability_learns(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    sick = rng.random(400) < 0.4
    rows = [
        {"entity": f"p{p}", "time": 1_700_000_000_000 + (p * 4 + k) * 60_000, "x": rng.normal(8 if sick[p] else 0)}
        for p in range(400)
        for k in range(4)
    ]
    path, outcomes = tmp_path / "a.csv", tmp_path / "outcomes.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    told = {"entity": [f"p{p}" for p in range(400)], "task": "death", "label": sick.astype(int)}
    told["revealed_at"] = [1_700_000_000_000 + (p * 4 + 6) * 60_000 for p in range(400)]
    pd.DataFrame(told).to_csv(outcomes, index=False)
    done = backtest(Options(None, (path,), outcomes=outcomes))
    event = done.report["tasks"]["death"]
    assert event["entities"] == 400
    assert event["last"]["auroc"] > 0.7
    assert done.table.frame()["event.death"].between(0, 1).all()


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        Options(None, (Path("nowhere.csv"),))


def test_a_monitor_and_auto_exclude_each_other() -> None:
    result = CliRunner().invoke(command, ["health", "--auto", "--input", "x.csv"])
    assert (result.exit_code, "either MONITOR or --auto" in result.output) == (2, True)


def test_several_files_may_follow_one_input_flag(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 8)):
        wide(seed)[:60].to_csv(tmp_path / f"{name}.csv", index=False)
    files = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    result = CliRunner().invoke(command, ["--auto", "--no-learn", "--json", "--input", *files])
    assert (result.exit_code, json.loads(result.output.splitlines()[-1])["rows"]["all"]) == (0, 120)
