"""`bellwether train`: files in, a version of the monitor's database or a file out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load
from sqlalchemy import select
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from infra.commands.models import models
from infra.commands.train import train
from infra.database import connect
from infra.registry import SqlRegistry
from schemas.errors import ConfigError, ModelError
from schemas.tables import TaskMetricRow
from tests.wide import wide
from trainer.fit import Fit


@pytest.fixture
def monitor(tmp_path: Path) -> Path:
    """A monitor's file, beside its history."""
    described = {
        "monitor": "pumps",
        "topics": {"observations": "pumps"},
        "modalities": [{"name": "motor", "signals": [{"name": "load %"}, {"name": "temp"}]}],
        "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly", "weight": 0}],
        "model": {"width": 8},
        "fitting": {"piece": 64, "context": 16},
        "database": {"url": f"sqlite:///{tmp_path / 'bellwether.db'}", "directory": str(tmp_path)},
    }
    (tmp_path / "pumps.yaml").write_text(yaml.safe_dump(described))
    frame = wide(8)
    frame["temp"] = 20.0 + np.random.default_rng(8).normal(size=len(frame))  # persistence is not the best of it
    frame.to_csv(tmp_path / "history.csv", index=False)
    return tmp_path / "pumps.yaml"


def fitted(monitor: Path, *more: str):
    """What the command says, as JSON."""
    arguments = [str(monitor), "--input", str(monitor.parent / "history.csv"), "--json", *more]
    return json.loads(CliRunner().invoke(train, arguments, catch_exceptions=False).stdout.splitlines()[-1])


def test_a_network_fitted_on_history_serves_from_the_monitors_database(monitor: Path) -> None:
    found = fitted(monitor, "--passes", "3")
    url = f"sqlite:///{monitor.parent / 'bellwether.db'}"
    serving = SqlRegistry(connect(url), "pumps", monitor.parent, lambda: None).serving()
    assert (found["published"], serving.version, serving.parent) == (2, 2, 1)


def test_what_sharing_costs_each_task_stands_in_the_database_beside_what_the_fit_says(monitor: Path) -> None:
    described = yaml.safe_load(monitor.read_text())
    described["fitting"] |= {"piece": 8, "context": 0, "validation": 0.4}
    monitor.write_text(yaml.safe_dump(described))
    found = fitted(monitor, "--passes", "2")
    engine = connect(f"sqlite:///{monitor.parent / 'bellwether.db'}")
    with engine.connect() as connection:
        rows = connection.execute(select(TaskMetricRow.metric, TaskMetricRow.value).filter_by(task="forecast"))
    stored = {metric: value for metric, value in rows if metric.startswith("sharing_costs")}
    names = ("sharing_costs", "sharing_costs_least", "sharing_costs_most")
    assert stored == dict(zip(names, found["sharing"]["forecast"]["difference"], strict=True))


def test_a_fit_that_is_no_better_than_what_serves_says_by_how_much(monitor: Path) -> None:
    described = yaml.safe_load(monitor.read_text())
    described["fitting"] |= {"learning_rate": 1e-12, "only": ["anomaly"]}
    monitor.write_text(yaml.safe_dump(described))
    arguments = [str(monitor), "--input", str(monitor.parent / "history.csv"), "--passes", "1"]
    said = CliRunner().invoke(train, arguments, catch_exceptions=False).stdout
    assert "losses less those of what serves: forecast +0.0000 ± 0.0000" in said
    assert "published nothing" in said


def test_a_version_says_which_tasks_it_answers_by_private_paths(monitor: Path) -> None:
    described = yaml.safe_load(monitor.read_text())
    described["tasks"][0]["share"] = "never"
    monitor.write_text(yaml.safe_dump(described))
    assert fitted(monitor, "--passes", "3")["published"] == 2
    arguments = ["list", str(monitor), "--json", "--database", described["database"]["url"]]
    listed = json.loads(CliRunner().invoke(models, arguments, catch_exceptions=False).stdout)
    assert [version["private"] for version in listed] == [["forecast"], []]


@pytest.mark.parametrize("share", ["auto", "never"])
def test_a_task_without_labels_is_fitted_beside_the_others(monitor: Path, share: str) -> None:
    described = yaml.safe_load(monitor.read_text())
    described["tasks"].append({"name": "leak", "kind": "event", "share": share})
    monitor.write_text(yaml.safe_dump(described))
    output = monitor.parent / "pumps.safetensors"
    fitted(monitor, "--passes", "2", "--output", str(output), "--directory", str(monitor.parent / "run"))
    assert all(np.isfinite(weight).all() for weight in map(np.asarray, load(output.read_bytes()).values()))


def test_a_file_is_written_without_a_database(monitor: Path) -> None:
    found = fitted(monitor, "--passes", "1", "--output", str(monitor.parent / "out" / "pumps.safetensors"))
    assert found["published"] is None
    assert (monitor.parent / "out" / "pumps.safetensors").exists()
    assert not (monitor.parent / "bellwether.db").exists()


@contextmanager
def interrupted(monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[None]:
    """What fits within is broken off after so many epochs."""
    undisturbed = Fit.epoch

    def epoch(self):
        if self.epochs == after:
            raise InterruptedError
        return undisturbed(self)

    with monkeypatch.context() as within:
        within.setattr(Fit, "epoch", epoch)
        with pytest.raises(InterruptedError):
            yield


@pytest.mark.parametrize(
    ("before", "weighting"), [([], "equal"), (["--pretrain", "1"], "equal"), ([], "dwa"), ([], "gradnorm")]
)
def test_a_resumed_run_ends_bit_for_bit_where_an_undisturbed_one_does(
    monitor: Path, monkeypatch, before, weighting
) -> None:
    described = yaml.safe_load(monitor.read_text()) | {"training": {"weighting": weighting}}
    described["tasks"][1]["weight"] = 1
    monitor.write_text(yaml.safe_dump(described))
    output = [*before, "--output", str(monitor.parent / "pumps.safetensors")]
    whole = fitted(monitor, "--passes", "3", "--directory", str(monitor.parent / "whole"), *output)
    broken = ["--passes", "3", "--directory", str(monitor.parent / "broken"), *output]
    with interrupted(monkeypatch, after=1):
        fitted(monitor, *broken)
    resumed = fitted(monitor, *broken, "--resume")
    assert resumed | {"directory": None} == whole | {"directory": None}
    last = "epoch-00003.safetensors"
    assert (monitor.parent / "whole" / last).read_bytes() == (monitor.parent / "broken" / last).read_bytes()


def test_a_run_made_longer_goes_on_from_its_last_epoch_and_can_be_resumed_as_any(monitor: Path, monkeypatch) -> None:
    output = ["--output", str(monitor.parent / "pumps.safetensors")]
    whole, broken = (["--directory", str(monitor.parent / name), *output] for name in ("whole", "broken"))
    for each in (whole, broken):
        fitted(monitor, "--passes", "1", *each)
    longer = fitted(monitor, "--passes", "3", "--resume", *whole)
    assert (longer["epochs"], longer["most"]) == (3, 3)
    epochs = json.loads((monitor.parent / "whole" / "manifest.json").read_text())["epochs"]
    assert [(epoch["epoch"], epoch["most"]) for epoch in epochs] == [(1, 1), (2, 3), (3, 3)]
    with interrupted(monkeypatch, after=2):
        fitted(monitor, "--passes", "3", "--resume", *broken)
    fitted(monitor, "--passes", "3", "--resume", *broken)
    last = "epoch-00003.safetensors"
    assert (monitor.parent / "whole" / last).read_bytes() == (monitor.parent / "broken" / last).read_bytes()
    with pytest.raises(ModelError, match=r"manifest.json: got 2 epochs; expected 3 or more \(--passes\): a run can be"):
        fitted(monitor, "--passes", "2", "--resume", *whole)


def test_a_run_in_which_no_task_improved_goes_on_with_more_patience(monitor: Path) -> None:
    more = ["--output", str(monitor.parent / "p.safetensors"), "--directory", str(monitor.parent / "run")]
    described = yaml.safe_load(monitor.read_text())
    described["fitting"] |= {"learning_rate": 1e-9, "patience": 1}
    monitor.write_text(yaml.safe_dump(described))
    begun = fitted(monitor, "--passes", "3", *more)
    assert (begun["epochs"], begun["most"]) == (2, 3)
    arguments = [str(monitor), "--input", str(monitor.parent / "history.csv"), "--passes", "4", "--resume", *more]
    assert "2 epochs" in (said := CliRunner().invoke(train, arguments, catch_exceptions=False).stdout)
    assert "ended before epoch 4: no task improved; with more fitting.patience --resume goes on" in said
    described["fitting"]["patience"] = 2
    monitor.write_text(yaml.safe_dump(described))
    assert fitted(monitor, "--passes", "4", "--resume", *more)["epochs"] == 3


def test_another_run_is_not_resumed_and_the_difference_is_named(monitor: Path) -> None:
    output = ["--output", str(monitor.parent / "pumps.safetensors")]
    fitted(monitor, "--passes", "1", *output)
    with pytest.raises(ModelError, match="seed is 0; expected 1"):
        fitted(monitor, "--passes", "1", "--seed", "1", "--resume", *output)


def test_fits_have_a_directory_each_and_the_newest_goes_on(monitor: Path) -> None:
    output = ["--passes", "1", "--output", str(monitor.parent / "pumps.safetensors")]
    made = [fitted(monitor, *output)["directory"] for _ in range(2)]
    home = monitor.parent / "fits" / "pumps"
    assert made == [str(home / "1"), str(home / "2")]
    assert fitted(monitor, *output, "--resume")["directory"] == made[1]
    with pytest.raises(ConfigError, match=r"--directory: got .*; expected one without a run, or --resume"):
        fitted(monitor, *output, "--directory", made[0])


def test_a_run_whose_manifest_says_nothing_of_sharing_is_resumed(monitor: Path) -> None:
    more = ["--passes", "1", "--output", str(monitor.parent / "p.safetensors"), "--directory", str(monitor.parent)]
    whole = fitted(monitor, *more)
    manifest = json.loads((monitor.parent / "manifest.json").read_text())
    for epoch in manifest["epochs"]:
        del epoch["sharing"]
    (monitor.parent / "manifest.json").write_text(json.dumps(manifest))
    assert fitted(monitor, *more, "--resume") == whole | {"sharing": {}}


def tracked(monitor: Path, *trackers: str) -> None:
    """Name trackers in the monitor."""
    described = yaml.safe_load(monitor.read_text())
    described["fitting"]["trackers"] = list(trackers)
    described["training"] = {"similarity_every": 1}
    described["tasks"][1].pop("weight")  # a head that never learns has no gradient to compare
    monitor.write_text(yaml.safe_dump(described))


def events_of(monitor: Path):
    """The one event file of the run beside a monitor, read back."""
    (file,) = (monitor.parent / "run" / "tensorboard" / "pumps").iterdir()
    return EventAccumulator(str(file)).Reload()


def test_a_fits_curves_can_be_read_back_from_tensorboards_file(monitor: Path) -> None:
    tracked(monitor, "tensorboard")
    output = ["--output", str(monitor.parent / "pumps.safetensors"), "--directory", str(monitor.parent / "run")]
    fitted(monitor, "--passes", "2", *output)
    found = events_of(monitor)
    manifest = json.loads((monitor.parent / "run" / "manifest.json").read_text())
    losses = [epoch["validation"]["forecast"] for epoch in manifest["epochs"]]
    seen = [(each.step, each.value) for each in found.Scalars("forecast/validation_loss")]
    assert seen == [(1, pytest.approx(losses[0])), (2, pytest.approx(losses[1]))]
    figures = {"training_loss", "weight", "shared_loss", "private_loss", "attention_motor", "similarity_anomaly"}
    assert {"gradient_norm", *(f"forecast/{name}" for name in figures)} <= set(found.Tags()["scalars"])


def test_a_run_that_starts_over_leaves_no_curve_of_the_one_before(monitor: Path) -> None:
    tracked(monitor, "tensorboard")
    output = ["--output", str(monitor.parent / "pumps.safetensors"), "--directory", str(monitor.parent / "run")]
    fitted(monitor, "--passes", "2", *output)
    (monitor.parent / "run" / "manifest.json").unlink()
    fitted(monitor, "--passes", "1", *output)
    events = EventAccumulator(str(monitor.parent / "run" / "tensorboard" / "pumps")).Reload()
    assert [each.step for each in events.Scalars("gradient_norm")] == [1]


def test_outcomes_of_a_task_that_the_monitor_does_not_name_need_an_output(monitor: Path) -> None:
    told = monitor.parent / "outcomes.csv"
    told.write_text("entity,task,label,revealed_at\na,failure,1,2026-02-01T00:00:00Z\n")
    with pytest.raises(ConfigError, match="--outcomes: got 'failure'; expected --output FILE"):
        fitted(monitor, "--outcomes", str(told))


@pytest.mark.service
def test_two_ray_workers_fit_together_and_the_first_one_writes_the_run(monitor: Path) -> None:
    tracked(monitor, "tensorboard")
    output = ["--workers", "2", "--output", str(monitor.parent / "pumps.safetensors")]
    found = fitted(monitor, "--passes", "2", "--directory", str(monitor.parent / "run"), *output)
    assert (found["epochs"], set(found["losses"])) == (2, {"forecast", "anomaly"})
    assert (monitor.parent / "pumps.safetensors").exists()
    assert len(events_of(monitor).Scalars("gradient_norm")) == 2


def test_a_task_joins_a_trained_network_whose_trunk_stays_as_it_was(monitor: Path) -> None:
    fitted(monitor, "--passes", "2")
    described = yaml.safe_load(monitor.read_text())
    described["rules"] = [{"name": "hot", "kind": "band", "signal": "temp", "high": 21.0}]
    target = {"rule": "hot", "cuts": [0.5], "within": 4}
    described["tasks"].append({"name": "heat", "kind": "state", "classes": ["cool", "hot"], "target": target})
    described["fitting"] |= {"trunk_rate": 0.0, "only": ["heat"]}
    monitor.write_text(yaml.safe_dump(described))
    with pytest.raises(ModelError, match="--transfer"):
        fitted(monitor, "--passes", "2")
    found = fitted(monitor, "--passes", "4", "--transfer")
    url = f"sqlite:///{monitor.parent / 'bellwether.db'}"
    registry = SqlRegistry(connect(url), "pumps", monitor.parent, lambda: None)
    before, after = (load(registry.load(registry.get(version))) for version in (2, found["published"]))
    same_shape = [name for name in before if before[name].shape == after[name].shape]
    assert found["losses"]["heat"] < 1.0
    assert found["transferred"]["fresh"] > 0
    assert {"forecast", "private", "trunk"} <= {name.partition(".")[0] for name in same_shape}
    assert all(torch.equal(before[name], after[name]) for name in same_shape)


def test_only_a_task_that_there_is_can_learn(monitor: Path) -> None:
    described = yaml.safe_load(monitor.read_text())
    described["fitting"]["only"] = ["heat"]
    monitor.write_text(yaml.safe_dump(described))
    with pytest.raises(ConfigError, match=r"fitting.only: got 'heat'; expected one of forecast, anomaly"):
        fitted(monitor, "--passes", "1")


def test_another_domain_starts_from_what_reads_no_signal(monitor: Path) -> None:
    trunk = str(monitor.parent / "trunk.safetensors")
    fitted(monitor, "--passes", "1", "--output", trunk)
    described = yaml.safe_load(monitor.read_text())
    described["modalities"] = [{"name": "motor", "signals": [{"name": "temp"}]}]
    monitor.write_text(yaml.safe_dump(described))
    output = str(monitor.parent / "other.safetensors")
    found = fitted(monitor, "--passes", "1", "--model", trunk, "--transfer", "--output", output)
    assert min(found["transferred"][part] for part in ("taken", "fresh")) > 20


def with_heat(monitor: Path, **target) -> None:
    """Give the monitor a state task, asking what is said."""
    described = yaml.safe_load(monitor.read_text())
    described["rules"] = [{"name": "hot", "kind": "band", "signal": "temp", "high": 21.0}]
    target = {"rule": "hot", "cuts": [0.5], "within": 4} | target
    heat = {"name": "heat", "kind": "state", "classes": ["cool", "hot"], "target": target}
    described["tasks"] = [*described["tasks"][:2], heat]
    monitor.write_text(yaml.safe_dump(described))


def test_a_task_that_means_something_else_is_refused_before_the_fit_and_told_of_where_the_rest_is_taken_over(
    monitor: Path,
) -> None:
    with_heat(monitor)
    fitted(monitor, "--passes", "1")
    with_heat(monitor, within=8)
    refused = "^model version [12]: task heat: within is 4 in the file, 8 in the monitor .*--transfer"
    for start in ([], ["--model", "fresh"], ["--model", "1", "--output", str(monitor.parent / "x.safetensors")]):
        with pytest.raises(ModelError, match=refused):
            fitted(monitor, "--passes", "1", *start)
    assert [each.name for each in (monitor.parent / "fits" / "pumps").iterdir()] == ["1"]
    assert fitted(monitor, "--passes", "1", "--transfer")["others"] == {
        "task heat": "within is 4 in the file, 8 in the monitor"
    }


def test_a_run_goes_on_only_with_tasks_that_mean_the_same(monitor: Path) -> None:
    with_heat(monitor)
    more = ["--passes", "1", "--output", str(monitor.parent / "p.safetensors"), "--directory", str(monitor.parent)]
    whole = fitted(monitor, *more)
    with_heat(monitor, cuts=[0.7])
    with pytest.raises(ModelError, match=r"manifest.json: task heat: cuts\[0\] is 0.5 in the file, 0.7 in the monitor"):
        fitted(monitor, *more, "--resume")
    manifest = json.loads((monitor.parent / "manifest.json").read_text())
    del manifest["run"]["architecture"]["tasks"]  # as a run that began before meaning was written down
    (monitor.parent / "manifest.json").write_text(json.dumps(manifest))
    with_heat(monitor)
    assert fitted(monitor, *more, "--resume") == whole


def test_what_a_fit_measured_of_tasks_similarity_is_shown_of_its_version_and_of_its_file(monitor: Path) -> None:
    with_heat(monitor)
    monitor.write_text(f"{monitor.read_text()}training: {{similarity_every: 1}}\n")
    file, url = str(monitor.parent / "pumps.safetensors"), f"sqlite:///{monitor.parent / 'bellwether.db'}"
    fits = [fitted(monitor, "--passes", "2", *more) for more in ([], ["--model", "fresh", "--output", file])]
    cosines = []
    for fit in fits:
        manifest = json.loads((Path(fit["directory"]) / "manifest.json").read_text())
        cosines.append(manifest["epochs"][fit["best"]["all"] - 1]["similarity"]["forecast.similarity_heat"])
    version = str(fits[0]["published"])
    asked = ["similarity"], ["similarity", version], ["similarity", file]
    shown = [CliRunner().invoke(models, [*each, "--database", url, "--json"]).stdout for each in asked]
    found = [next(iter(json.loads(each).values()))["heat"]["forecast"] for each in shown]
    assert found == [cosines[0], cosines[0], cosines[1]]


def test_nothing_can_be_transferred_from_nothing(monitor: Path) -> None:
    with pytest.raises(ConfigError, match="--model"):
        fitted(monitor, "--model", "fresh", "--transfer", "--output", str(monitor.parent / "x.safetensors"))
