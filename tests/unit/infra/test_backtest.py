"""The backtest contract: a row for each row, in input order, and no output that knows the future."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from infra.backtest.anomalies import _caught
from infra.backtest.options import Options
from infra.backtest.outputs import Outputs
from infra.backtest.page import page
from infra.backtest.run import backtest
from infra.backtest.show import lines
from infra.backtest.table import signal_map
from infra.commands.backtest import Delays, Horizons
from infra.commands.backtest import backtest as command
from infra.settings import load_monitor
from schemas.errors import ConfigError, InputError, ModelError
from schemas.layout import Layout
from tests.wide import wide
from trainer.network import Network
from trainer.weights import save_weights

METRICS = ("mse", "mae", "mase", "pinball", "coverage")
NOT_OF_A_BASELINE = {"sharing", "scaler", "first_scored_row", "delay"}


def scores(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    frame.to_csv(path, index=False)
    return backtest(Options(None, (path,))).table.frame()


def run(path: Path, frame: pd.DataFrame) -> tuple[dict[str, Any], pd.DataFrame]:
    """The report and the scores of a run that does not learn."""
    frame.to_csv(path, index=False)
    done = backtest(Options(None, (path,), learn=False))
    return done.report, done.table.frame()


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
    assert found["time"].isna().tolist() == [row == 7 for row in range(400)]
    assert found["anomaly"].between(0, 1).all()
    assert found.loc[found["status"] == "ok", "forecast.temp.h1.q0.5"].notna().all()


def test_the_report_stands_beside_its_baselines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    wide(4)[:300].assign(label=(np.arange(300) % 50 == 0).astype(int)).to_csv(path, index=False)
    report = backtest(Options(None, (path,), learn=False)).report
    baselines = report["baselines"]
    assert (report["rows"], report["rows_by_status"]) == (300, {"ok": 300, "duplicate": 0, "late": 0, "invalid": 0})
    assert baselines["persistence"]["forecast"]["raw"]["h1"]["mase"] == 1.0
    assert set(report["tasks"]["forecast"]) - set(baselines["persistence"]["forecast"]) == NOT_OF_A_BASELINE
    caught = {"faults", "faults_alerted", "alarms_false"}
    assert set(baselines["random"]["anomaly"]) == {"auroc", "auprc", "vus_pr"} | caught
    assert set(baselines["ewma"]["anomaly"]) == {"auroc", "auprc", "vus_pr"} | caught
    assert report["signal_map"] == {"load %": "load__", "temp": "temp"}


def test_two_names_that_map_to_the_same_one_stay_apart() -> None:
    assert signal_map(["a b", "a_b"]) == {"a b": "a_b_2", "a_b": "a_b"}
    assert signal_map(["a-b", "a.b", "a_b_2"]) == {"a-b": "a_b", "a.b": "a_b_3", "a_b_2": "a_b_2"}


def test_labels_that_nothing_learns_from_are_refused_rather_than_ignored() -> None:
    with pytest.raises(ConfigError, match="--labels"):
        Options(None, (), learn=False, labels="online")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        Options(None, (Path("nowhere.csv"),))


@pytest.mark.parametrize("name", ["health", "m.yaml"])
def test_a_monitor_and_auto_exclude_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").touch()
    result = CliRunner().invoke(command, [name, "--auto", "--input", "x.csv"])
    assert (result.exit_code, "either MONITOR or --auto" in result.output) == (2, True)


def test_several_files_may_follow_one_input_flag(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 8)):
        wide(seed)[:60].to_csv(tmp_path / f"{name}.csv", index=False)
    files = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    result = CliRunner().invoke(command, ["--auto", "--no-learn", "--json", "--input", *files])
    assert (result.exit_code, json.loads(result.output.splitlines()[-1])["rows"]) == (0, 120)


def test_a_bad_or_late_cell_drops_no_column_and_the_rest_are_named_with_a_reason(tmp_path: Path) -> None:
    rows = 150
    frame = wide(9)[:rows].assign(late=[None] * (rows - 1) + [1.0], text="x", none=None)
    frame["temp"] = frame["temp"].astype(object)
    frame.loc[0, "temp"] = "broken"
    report, table = run(tmp_path / "a.csv", frame)
    assert (list(report["signal_map"]), report["left_out"], report["refused"]) == (
        ["load %", "temp", "late"],
        {"text": "its cells are not numbers", "none": "empty in every file"},
        {"wrong-type": 1},
    )
    assert report["refused_signals"] == {"temp": 1}
    assert table["status"].tolist() == ["ok"] * rows


def test_a_file_without_numbers_is_refused_with_what_its_columns_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,note,none\n1,x,\n")
    with pytest.raises(InputError, match=r"a\.csv: got no numeric column \('note': its cells are not numbers; 'none'"):
        backtest(Options(None, (path,)))


def test_columns_that_a_monitor_does_not_know_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("entity,time,HR,hr\n" + "".join(f"p,{1000 * i},60,60\n" for i in range(40)))
    report = backtest(Options("health", (path,), learn=False)).report
    assert report["left_out"] == {"hr": "not a signal of health"}


def test_times_that_collapse_to_one_millisecond_are_counted(tmp_path: Path) -> None:
    frame = pd.DataFrame({"entity": "a", "time": [f"2026-01-01T00:00:00.{i:06d}Z" for i in range(0, 60_000, 400)]})
    report, table = run(tmp_path / "a.csv", frame.assign(x=np.arange(150.0)))
    assert (report["collapsed_times"], table["time"].nunique()) == (90, 60)


def test_the_mean_over_horizons_is_given_only_where_each_of_them_was_forecast(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    wide(10)[:200].to_csv(path, index=False)
    horizons = (1, 2, 4, timedelta(minutes=3))
    report = backtest(Options(None, (path,), learn=False, horizons=horizons)).report
    found, naive = report["tasks"]["forecast"]["raw"], report["baselines"]["persistence"]["forecast"]["raw"]
    assert list(found) == list(naive) == ["h1", "to_h1", "h2", "to_h2", "h4", "h180s"]
    assert found["to_h2"]["mse"] == pytest.approx((found["h1"]["mse"] + found["h2"]["mse"]) / 2, rel=1e-5)


def test_state_tasks_are_judged_by_what_their_rule_came_to_beside_two_baselines(tmp_path: Path) -> None:
    rows = 120
    rate = np.where(np.arange(rows) % 40 < 20, 70.0, 140.0)  # 3 points of NEWS2 above 130, of a class from 5 up none
    breath = np.where(np.arange(rows) % 40 < 20, 16.0, 26.0)  # 3 more: 6 together, the middle class
    path = tmp_path / "a.csv"
    pd.DataFrame({"entity": "p", "time": np.arange(rows) * 60_000, "HR": rate, "RespRate": breath}).to_csv(path)
    report = backtest(Options("health", (path,), learn=False)).report
    found = report["tasks"]["deterioration"]
    standing, share = (report["baselines"][name]["deterioration"] for name in ("persistence", "base_rate"))
    # 114 rows have six after them; the class moves six rows before the score does, three times up and twice down.
    up = sum(rate[row + 1 : row + 7].max() > 100 for row in range(114))
    moved = sum((rate[row] > 100) != (rate[row + 1 : row + 7].max() > 100) for row in range(114))
    assert (found["rows"], found["shares"]["watch"], found["shares"]["critical"]) == (114, pytest.approx(up / 114), 0.0)
    assert (standing["accuracy"], standing["log_loss"]) == (pytest.approx(1 - moved / 114, abs=1e-5), None)
    assert (share["accuracy"], share["balanced_accuracy"], share["auroc"]) == (pytest.approx(up / 114), 0.5, 0.5)
    assert set(found) - set(share) == {"rows", "shares", "warnings", "sharing"}


def test_every_figure_is_shown_beside_its_baselines_and_many_horizons_briefly(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    wide(11)[:200].to_csv(path, index=False)
    report = backtest(Options(None, (path,), learn=False, horizons=tuple(range(1, 9)))).report
    whole, brief = lines(report), lines(report, brief=True)
    metrics = [f"{horizon} {metric}" for horizon in ("h1", "h8", "to_h8") for metric in METRICS]
    ways = ["sharing path", "sharing private_rows"]
    alarms = [
        "alarms",
        "alarms_of anomaly",
        "alarms_per_entity_day",
        *(f"coverage {level}" for level in ("0.9", "0.99", "0.999")),
    ]
    standardised = [f"standardised {metric}" for metric in metrics]
    assert [line[1] for line in brief if line[0] == "forecast"] == standardised + ways
    assert [line[1] for line in brief if line[0] == "anomaly"] == [*alarms, *ways]
    assert (len(whole), set(brief) <= set(whole)) == (2 * 16 * len(METRICS) + len(alarms) + 2 * len(ways), True)
    measured = [line for line in whole if line[0] == "forecast" and line[1] not in ways]
    assert all(line[3].endswith(" persistence") for line in measured)
    assert "to_h8 mse" in page(report)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6", (1, 6)),
        ("1-4", (1, 2, 3, 4)),
        ("3-5,15m", (1, 3, 4, 5, timedelta(minutes=15))),
        ("1,2,2-3", (1, 2, 3)),
    ],
)
def test_horizons_are_counts_ranges_and_durations(text: str, expected: tuple[object, ...]) -> None:
    assert Horizons().convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "0", "97", "5-3", "1-97", "1-99999999999", "-1", "soon", "99999999999d"])
def test_a_wrong_horizon_is_said_with_what_was_expected(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected row counts from 1 to 96, ranges of them, and durations"):
        Horizons().convert(text, None, None)


def test_a_delay_without_end_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="expected a duration"):
        Delays().convert("99999999999d", None, None)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_no_generator_takes_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match=r"--seed: got .*; expected a number from 0"):
        Options(None, (), seed=seed)


def test_columns_of_other_names_are_read_as_entity_and_time(tmp_path: Path) -> None:
    frame = wide(2)[:60]
    named = frame.rename(columns={"entity": "patient", "time": "charted"})
    frame.to_csv(tmp_path / "a.csv", index=False)
    named.to_csv(tmp_path / "b.csv", index=False)
    expected = backtest(Options(None, (tmp_path / "a.csv",), learn=False)).table.frame()
    found = backtest(Options(None, (tmp_path / "b.csv",), learn=False, entity="patient", time="charted")).table.frame()
    pd.testing.assert_frame_equal(found, expected)
    with pytest.raises(InputError, match=r"b.csv: expected a column 'bed' of entities, got columns \['patient'"):
        Options(None, (tmp_path / "b.csv",), entity="bed")
    with pytest.raises(InputError, match=r"b.csv: expected a column 'time' of event times, .*; --time names another"):
        backtest(Options(None, (tmp_path / "b.csv",)))


def test_what_is_called_entity_or_time_beside_them_is_a_signal(tmp_path: Path) -> None:
    frame = wide(2)[:60].rename(columns={"entity": "patient", "time": "charted"})
    frame[["entity", "time"]] = np.random.default_rng(0).normal(size=(60, 2))
    frame.to_csv(tmp_path / "a.csv", index=False)
    done = backtest(Options(None, (tmp_path / "a.csv",), learn=False, entity="patient", time="charted"))
    assert set(done.report["signal_map"]) == {"load %", "temp", "entity", "time"}


@pytest.mark.parametrize(
    ("monitor", "entity", "time", "expected"),
    [
        (None, "bed", "bed", "--time: got 'bed'; expected another column than that of entities"),
        (None, "label", None, "--entity: got 'label'; expected another column than that of labels"),
        ("health", None, "HR", "--time: got 'HR'; expected a column that is no signal of health"),
    ],
)
def test_columns_that_cannot_be_both_are_refused(
    tmp_path: Path, monitor: str | None, entity: str | None, time: str | None, expected: str
) -> None:
    (tmp_path / "a.csv").write_text("bed,HR,label\n1,2,0\n")
    with pytest.raises(ConfigError, match=expected):
        backtest(Options(monitor, (tmp_path / "a.csv",), entity=entity, time=time))


@pytest.mark.parametrize(("option", "kind"), [("--scores", "parquet"), ("--report", "json")])
def test_a_file_that_cannot_be_written_is_found_before_the_run(tmp_path: Path, option: str, kind: str) -> None:
    source, blocked = tmp_path / "a.csv", tmp_path / "file"
    source.write_text("no table at all")
    blocked.write_text("")
    for target, expected in ((blocked / f"x.{kind}", "a file that can be written"), (source, "another file than the")):
        with pytest.raises(ConfigError, match=f"command line: {option}: got .*; expected {expected}"):
            command.main(["--auto", "--input", str(source), option, str(target)], standalone_mode=False)


def test_trying_a_file_leaves_no_trace_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,x\n1,2\n")
    (tmp_path / "old.json").write_text("{}")
    Outputs(tmp_path / "deep" / "s.parquet", tmp_path / "old.json").check([tmp_path / "a.csv"])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.csv", "deep", "old.json"]
    assert (tmp_path / "old.json").read_text() == "{}"


def test_what_is_written_is_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    frame = wide(12)[:50]
    frame.loc[3, "time"] = None
    frame.to_csv(path, index=False)
    done = backtest(Options(None, (path,), learn=False))
    Outputs(tmp_path / "s.parquet", tmp_path / "r.json").write(done.table, done.report)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "s.parquet"), done.table.frame(), check_dtype=False, check_exact=True
    )
    assert json.loads((tmp_path / "r.json").read_text()) == json.loads(json.dumps(done.report))


def test_an_outcomes_task_name_that_cannot_be_is_shown(tmp_path: Path) -> None:
    path, outcomes = tmp_path / "a.csv", tmp_path / "outcomes.csv"
    path.write_text("time,x\n1,2\n")
    outcomes.write_text("entity,task,label,revealed_at\na,in hospital,1,2\n")
    with pytest.raises(InputError, match=r"outcomes\.csv: task: got 'in hospital'; expected 1 to 63 letters"):
        backtest(Options(None, (path,), outcomes=outcomes))


def test_rows_none_of_which_can_be_scored_still_make_a_report(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,x,label\nsoon,1,0\n1000,inf,1\n")
    done = backtest(Options(None, (path,)))
    assert done.report["rows_by_status"]["invalid"] == done.report["rows"] == 2
    assert done.table.frame()["time"].isna().tolist() == [True, False]
    assert done.report["refused"] == {"wrong-clock": 1, "not-finite": 1}
    said = CliRunner().invoke(command, ["--auto", "--input", str(path)])
    assert "refused, by reason: wrong-clock 1, not-finite 1" in said.stdout
    assert "mase" not in said.stdout
    refused = "every one refused (wrong-clock 1, not-finite 1)"
    assert str(said.exception) == f"got 2 rows, {refused}; expected some that can be scored"


@pytest.mark.parametrize(("text", "got"), [("time,x\n", "no row"), ("", "an empty file")])
def test_a_file_without_rows_is_named_as_that(tmp_path: Path, text: str, got: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"got {got}"):
        backtest(Options(None, (path,)))


def test_rows_that_contradict_others_of_their_time_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    first = wide(12)[:100]
    second = first.assign(**{name: first[name] + 1.0 for name in first.columns.difference(["entity", "time"])})
    pd.concat([first, second]).to_csv(path, index=False)
    report = backtest(Options(None, (path,), learn=False)).report
    assert (report["rows_by_status"]["ok"], report["rows_replacing"]) == (200, 100)
    said = CliRunner().invoke(command, ["--auto", "--no-learn", "--input", str(path)]).stdout
    assert "100 rows brought other values for an entity and time that had some: the last stand" in said


def test_metrics_must_count_a_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    wide(12).to_csv(path, index=False)
    said = CliRunner().invoke(command, ["--auto", "--no-learn", "--input", str(path), "--score-from", "9999"])
    assert str(said.exception) == "--score-from: got 9,999; expected fewer than the 2,600 rows that were scored"


@pytest.mark.parametrize(("option", "expected"), [("--scores", ".parquet or .pq"), ("--report", ".json or .html")])
def test_a_file_is_of_the_kind_that_its_name_says(tmp_path: Path, option: str, expected: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,x\n1,2\n")
    with pytest.raises(ConfigError, match=f"{option}: got .*; expected a name that ends in {expected}"):
        command.main(["--auto", "--input", str(path), option, str(tmp_path / "out.csv")], standalone_mode=False)


def test_faults_that_alerts_caught_are_counted_beside_chance(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    frame = wide(12)
    frame["label"] = 0
    frame.loc[frame.index[-3:], "label"] = 1
    frame.to_csv(path, index=False)
    report = backtest(Options(None, (path,), learn=False)).report
    ours, chance = report["tasks"]["anomaly"], report["baselines"]["random"]["anomaly"]
    assert ours["faults"] == chance["faults"] > 0
    assert ours["faults_alerted"] <= ours["faults"]
    assert ours["alarms_false"] <= ours["alarms"]


def test_alerts_in_a_fault_or_shortly_after_catch_it_and_others_are_false() -> None:
    truth = np.zeros(60, dtype=bool)
    truth[[10, 11, 12, 30, 50]] = True
    alerted = np.zeros(60, dtype=bool)
    alerted[[2, 11, 34, 58]] = True
    entity = np.repeat(["a", "b"], [40, 20])
    assert _caught(alerted, truth, entity) == {"faults": 3, "faults_alerted": 2, "alarms_false": 2}


def test_a_difference_is_shown_with_its_bounds() -> None:
    report = {"tasks": {"death": {"sharing": {"path": "private", "difference": (0.01, -0.02, 0.04)}}}, "baselines": {}}
    shown = [
        ("death", "sharing path", "private", ""),
        ("death", "sharing difference", "+0.0100, -0.0200 to +0.0400", ""),
    ]
    assert lines(report) == shown


def test_a_budget_stands_beside_what_became_of_it(tmp_path: Path) -> None:
    path, monitor = tmp_path / "a.csv", tmp_path / "monitor.json.yaml"
    rng, rows = np.random.default_rng(0), 2_000
    times = pd.date_range("2024-01-01", periods=rows, freq="h")
    pd.DataFrame({"entity": "a", "time": times, "load": rng.standard_t(3, rows)}).to_csv(path, index=False)
    monitor.write_text(
        json.dumps(
            {
                "monitor": "grid",
                "topics": {"observations": "grid"},
                "modalities": [{"name": "all", "signals": [{"name": "load"}]}],
                "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
                "alerts": {"budget": "0.2 per entity-day", "cooldown": 5, "resolve_after": 2},
            }
        )
    )
    report = backtest(Options(str(monitor), (path,), learn=False)).report["tasks"]["anomaly"]
    budget = report["budget"]["entity"]
    assert (budget["asked"], budget["alarms"]) == ("0.2 per entity-day", report["alarms"])
    assert budget["achieved"] == pytest.approx(report["alarms_per_entity_day"], rel=0.01)
    assert budget["achieved"] == pytest.approx(0.2, rel=0.2)


def test_a_false_discovery_rate_stands_beside_the_share_that_labels_call_false(tmp_path: Path) -> None:
    path, monitor = tmp_path / "a.csv", tmp_path / "monitor.json.yaml"
    rng, rows = np.random.default_rng(0), 6_000
    load, label = rng.normal(size=rows), np.zeros(rows, dtype=int)
    faulty = np.arange(1_000, rows, 500)
    load[faulty] += 1e4
    label[faulty[1:]] = 1
    columns = {"entity": "a", "time": pd.date_range("2024-01-01", periods=rows, freq="h"), "load": load, "label": label}
    pd.DataFrame(columns).to_csv(path, index=False)
    described = {
        "monitor": "grid",
        "topics": {"observations": "grid"},
        "modalities": [{"name": "all", "signals": [{"name": "load"}]}],
        "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
        "alerts": {"false_discovery_rate": 0.1},
    }
    monitor.write_text(json.dumps(described))
    report = backtest(Options(str(monitor), (path,), learn=False)).report["tasks"]["anomaly"]
    told, alarms = report["false_discoveries"], len(faulty)
    assert told == {"asked": 0.1, "alarms": alarms, "false": 1, "achieved": pytest.approx(1 / alarms, rel=1e-5)}


def test_weights_that_do_not_fit_are_refused_before_anything_is_streamed(tmp_path: Path) -> None:
    path, weights = tmp_path / "a.csv", tmp_path / "weights.safetensors"
    wide(11)[:50].to_csv(path, index=False)
    weights.write_bytes(save_weights(Network(Layout(load_monitor("health")))))
    with pytest.raises(ModelError, match=r"weights\.safetensors: model.private is 16 in the file, 8 in the monitor"):
        backtest(Options(None, (path,), learn=False, model=str(weights)))


def test_a_folder_of_frames_is_an_input_like_any_other(tmp_path: Path) -> None:
    camera = tmp_path / "frames" / "door"
    camera.mkdir(parents=True)
    (camera / "1700000000000.png").write_bytes(b"")
    Outputs(tmp_path / "scores.parquet", None).check([tmp_path / "frames"])
