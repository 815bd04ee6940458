"""The report's word on warnings, on a ward where it is known what came."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from infra.backtest.options import Options
from infra.backtest.run import backtest
from infra.backtest.show import lines
from infra.backtest.warnings import _farthest, _Stream
from schemas.errors import InputError
from schemas.layout import Layout
from schemas.monitor import Monitor

MINUTE_MS = 60_000
WARD: dict[str, Any] = {
    "monitor": "ward",
    "topics": {"observations": "ward.vitals"},
    "modalities": [{"name": "vitals", "signals": [{"name": "HR"}]}],
    "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
    "rules": [{"name": "fast", "kind": "band", "signal": "HR", "high": 100, "severities": {"warning": 5}}],
    "alerts": {"resolve_after": 1, "cooldown": 0},
}
STATE = {
    "name": "rush",
    "kind": "state",
    "classes": ["calm", "crisis"],
    "target": {"rule": "fast", "cuts": [20], "within": 4},
    "severities": {"warning": 0.5},
}
EVENT = {"name": "arrest", "kind": "event", "within": "4m", "severities": {"warning": 0.3}}
POSE = {"name": "pose", "kind": "state", "classes": ["up", "down"]}


def report(folder: Path, frame: pd.DataFrame, *tasks: dict[str, Any], outcomes: str = "", **options: Any) -> dict:
    """Of a run over some rows; it learns where labels are asked for alone."""
    monitor, rows = folder / "ward.yaml", folder / "rows.csv"
    monitor.write_text(yaml.safe_dump(WARD | {"tasks": [*WARD["tasks"], *tasks], "training": {"window": 4}}))
    frame.to_csv(rows, index=False)
    told = folder / "outcomes.csv" if outcomes else None
    if told:
        told.write_text(outcomes)
    learn = bool(outcomes) or options.get("labels") == "online"
    return backtest(Options(str(monitor), (rows,), learn=learn, outcomes=told, **options)).report


def rates(*levels: float, entity: str = "p") -> pd.DataFrame:
    return pd.DataFrame({"entity": entity, "time": np.arange(len(levels)) * MINUTE_MS, "HR": levels})


def test_a_rule_that_fires_a_row_before_the_onset_foretells_it(tmp_path: Path) -> None:
    found = report(tmp_path, rates(*[80.0] * 6, 110.0, 130.0, *[80.0] * 6, 130.0), STATE)
    rule, ours = found["baselines"]["rule"]["rush"]["warnings"], found["tasks"]["rush"]["warnings"]
    assert (ours["events"], rule["events"]) == (2, 2)
    assert {name: rule[name] for name in ("caught", "alarms", "foretelling", "late", "false", "precision")} == {
        "caught": 1,
        "alarms": 2,
        "foretelling": 1,
        "late": 1,
        "false": 0,
        "precision": 0.5,
    }
    assert (rule["lead_rows"]["q0.5"], rule["lead_hours"]["q0.5"]) == (1.0, pytest.approx(1 / 60, abs=1e-6))


def test_where_nothing_happened_that_is_said_and_nothing_divided(tmp_path: Path) -> None:
    found = report(
        tmp_path, rates(*[80.0] * 12), STATE, EVENT, outcomes="entity,task,label,revealed_at\np,arrest,0,1\n"
    )
    for task in ("rush", "arrest"):
        warnings = found["tasks"][task]["warnings"]
        assert (warnings["events"], warnings["caught_share"]) == ("none happened", None)
    assert "none happened" in {ours for _, metric, ours, _ in lines(found) if metric == "warnings events"}


def test_what_nothing_was_told_of_is_said_in_one_line(tmp_path: Path) -> None:
    pose = POSE | {"severities": {"warning": 0.5}}
    found = report(tmp_path, rates(*[80.0] * 12), EVENT, pose, {"name": "death", "kind": "event"})
    shown = {
        task: [(metric, ours) for name, metric, ours, _ in lines(found) if name == task and "sharing" not in metric]
        for task in ("arrest", "pose", "death")
    }
    nothing = [("judged", "no: no outcome of a scored entity was told")]
    unlabelled = [("judged", "no: no row is labelled, there is no column label.pose")]
    assert shown == {"arrest": nothing, "pose": unlabelled, "death": nothing}


def test_an_event_within_a_horizon_is_judged_on_the_rows_that_its_outcome_settles(tmp_path: Path) -> None:
    told = f"entity,task,label,revealed_at,occurred_at\np,arrest,1,{11 * MINUTE_MS},{8 * MINUTE_MS}\n"
    found = report(tmp_path, rates(*[80.0] * 12), EVENT, outcomes=told)["tasks"]["arrest"]
    assert (found["rows"], found["base_rate"], found["warnings"]["events"]) == (8, 0.5, 1)


def test_a_state_that_labels_teach_is_judged_by_them_beside_the_label_before(tmp_path: Path) -> None:
    frame = rates(*[80.0] * 10).assign(**{"label.pose": ["up", "up", None, "down", "down", *["up"] * 5]})
    found = report(tmp_path, frame, POSE, labels="online")
    ours, standing = found["tasks"]["pose"], found["baselines"]["persistence"]["pose"]
    assert (ours["rows"], ours["shares"]) == (9, {"up": pytest.approx(7 / 9), "down": pytest.approx(2 / 9)})
    assert standing["accuracy"] == pytest.approx(7 / 9, abs=1e-5)
    assert found["learning"]["labels"] == 9


def test_an_unknown_class_is_answered_with_those_there_are(tmp_path: Path) -> None:
    frame = rates(80.0, 80.0).assign(**{"label.pose": ["up", "sideways"]})
    with pytest.raises(InputError, match=r"row 2: label\.pose: got 'sideways'; expected one of up, down, or nothing"):
        report(tmp_path, frame, POSE, labels="online")


def test_two_classes_may_be_told_as_0_and_1(tmp_path: Path) -> None:
    found = report(tmp_path, rates(*[80.0] * 4).assign(**{"label.pose": [0, 1, None, 1]}), POSE, labels="online")
    assert found["tasks"]["pose"]["shares"] == {"up": pytest.approx(1 / 3), "down": pytest.approx(2 / 3)}


def test_a_single_signal_is_as_far_as_the_farthest_of_those_that_were_ever_seen() -> None:
    vitals = {"name": "vitals", "signals": [{"name": "HR"}, {"name": "SaO2"}, {"name": "never"}]}
    layout = Layout(Monitor.model_validate(WARD | {"modalities": [vitals]}))
    values = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, np.nan], [4.0, 40.0], [9.0, 30.0]])
    table = SimpleNamespace(
        layout=layout, values=np.column_stack([values, np.full(5, np.nan)]), entity=np.array(list("ppppq"))
    )
    stream = _Stream(table, np.arange(5), 0)  # type: ignore[arg-type]
    # HR: median 3, quartiles 2 and 4; SaO2, its 20 standing for the missing one: median 20, quartiles 20 and 30.
    assert _farthest(stream, ("HR", "SaO2", "never")).tolist() == [1.0, 0.5, 0.0, 2.0, 3.0]
    assert np.isnan(_farthest(stream, ("never",))).all()
