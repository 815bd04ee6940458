"""`bellwether tune`: trials on a real Ray, and what a search that was broken off comes to."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from infra.commands.tune import tune
from schemas.errors import ConfigError, ModelError
from tests.wide import wide


@pytest.fixture
def monitor(tmp_path: Path) -> Path:
    """A monitor's file, beside its history."""
    described = {
        "monitor": "pumps",
        "topics": {"observations": "pumps"},
        "modalities": [{"name": "motor", "signals": [{"name": "load %"}, {"name": "temp"}]}],
        "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
        "model": {"width": 8},
        "fitting": {"piece": 64, "context": 16},
        "database": {"directory": str(tmp_path / "kept")},
    }
    (tmp_path / "pumps.yaml").write_text(yaml.safe_dump(described))
    frame = wide(8)
    frame["temp"] = 20.0 + np.random.default_rng(8).normal(size=len(frame))  # who learns more is told by more than luck
    frame.to_csv(tmp_path / "history.csv", index=False)
    return tmp_path / "pumps.yaml"


def tuned(monitor: Path, *more: str):
    """What the command says, as JSON."""
    arguments = [str(monitor), "--input", str(monitor.parent / "history.csv"), "--passes", "3", "--json", *more]
    return json.loads(CliRunner().invoke(tune, arguments, catch_exceptions=False).stdout)


@pytest.mark.service
def test_trials_are_ranked_ended_early_where_they_fall_behind_and_told_again_when_resumed(monitor: Path) -> None:
    asked = ["--trials", "3", "--over", "fitting.learning_rate=1e-5..1e-2", "--over", "model.width=8,16"]
    found = tuned(monitor, *asked)
    losses = [trial["loss"] for trial in found["trials"]]
    epochs = [trial["epochs"] for trial in found["trials"]]
    assert (losses, found["best"], found["unfinished"]) == (sorted(losses), found["trials"][0]["settings"], 0)
    assert sorted(trial["number"] for trial in found["trials"]) == [0, 1, 2]
    assert epochs[0] == 3
    assert min(epochs) < 3
    assert tuned(monitor, *asked, "--resume") == found
    more = tuned(monitor, "--trials", "4", *asked[2:], "--resume")
    assert (len(more["trials"]), more["directory"]) == (4, found["directory"])
    assert [trial for trial in more["trials"] if trial["number"] < 3] == found["trials"]


@pytest.mark.parametrize(
    ("over", "refused"),
    [
        ("model.width=16,12", "model.width: got 12; expected a multiple of 8"),
        (
            "model.width=16..64",
            r"model.width: got '16\.\.64'; expected the values that go, as in model.width=ONE,TWO: .* 8",
        ),
        ("model.width=12,16", "model.width: got 12; expected a multiple of 8"),
        ("model.width=16,24", r"model.width: got 24; expected .*: model.heads: got 16; expected a divisor of width"),
        ("fitting.warm_up=0.1..1", "fitting.warm_up: got 1; expected less than 1"),
        ("fitting.learning_rate=0..1e-2", "fitting.learning_rate: got 0; expected greater than 0"),
    ],
)
def test_a_search_is_refused_before_any_trial_begins_whatever_is_drawn(monitor: Path, over: str, refused: str) -> None:
    described = yaml.safe_load(monitor.read_text())
    described["model"] = {"width": 16, "heads": 16}
    monitor.write_text(yaml.safe_dump(described))
    with pytest.raises(ConfigError, match=rf"^command line: {refused}"):
        tuned(monitor, "--trials", "1", "--over", over)
    assert not (monitor.parent / "kept").exists()


def test_a_search_is_neither_written_over_nor_continued_by_another_one(monitor: Path) -> None:
    directory = monitor.parent / "kept" / "tuning" / "pumps" / "1"
    directory.mkdir(parents=True)
    search = {"files": ["history.csv"], "outcomes": None, "passes": 2, "seed": 0, "points": []}
    (directory / "search.json").write_text(json.dumps(search))
    with pytest.raises(ModelError, match=r"search.json: passes is 2; expected \d: a search goes on as it began"):
        tuned(monitor, "--resume")
    with pytest.raises(ConfigError, match=r"--directory: got .*; expected one without a run, or --resume"):
        tuned(monitor, "--directory", str(directory))


@dataclass
class Past:
    """A trial as the scheduler sees it."""

    number: int
    status: str
    trial_id: str = ""
    config: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trial_id, self.config = str(self.number), {"number": self.number}


def test_a_resumed_search_judges_by_trials_that_had_ended_before(tmp_path: Path) -> None:
    from infra.fitting.rungs import Rungs, reported

    epochs = [{"epoch": number, "validation": {"forecast": 0.8, "anomaly": 0.6}} for number in (1, 2, 3)]
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "manifest.json").write_text(json.dumps({"epochs": epochs}))
    rungs, ended, fresh = Rungs(tmp_path, 3), Past(0, "TERMINATED"), Past(1, "PENDING")
    rungs.set_search_properties("loss", "min")
    for trial in (ended, fresh):
        rungs.on_trial_add(None, trial)
    worse = reported({"epoch": 1, "validation": {"forecast": 0.9, "anomaly": 0.7}})
    assert (worse, rungs.on_trial_result(None, fresh, worse)) == ({"loss": pytest.approx(0.8), "epoch": 1}, "STOP")
