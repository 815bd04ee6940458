"""`bellwether models compress`: a file in, a smaller one out that serves."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from infra import compressing
from infra.commands.backtest import backtest
from infra.commands.models import models
from infra.commands.train import train
from infra.settings import load_monitor
from schemas.errors import BellwetherError, ModelError
from schemas.layout import Layout
from tests.wide import wide
from trainer.network import Network
from trainer.weights import load_weights, save_weights


@pytest.fixture(autouse=True)
def _brief(monkeypatch) -> None:
    """Speeds are not what is tested."""
    monkeypatch.setattr(compressing, "_ROUNDS", 1)
    monkeypatch.setattr(compressing, "_PASSES", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A monitor, its history, and weights."""
    described = {
        "monitor": "pumps",
        "topics": {"observations": "pumps"},
        "modalities": [{"name": "motor", "signals": [{"name": "load %"}, {"name": "temp"}]}],
        "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
        "fitting": {"piece": 64, "context": 16},
        "database": {"url": f"sqlite:///{tmp_path / 'bellwether.db'}", "directory": str(tmp_path)},
    }
    (tmp_path / "pumps.yaml").write_text(yaml.safe_dump(described))
    wide(8).to_csv(tmp_path / "history.csv", index=False)
    layout = Layout(load_monitor(str(tmp_path / "pumps.yaml")))
    (tmp_path / "pumps.safetensors").write_bytes(save_weights(Network(layout)))
    return tmp_path


def compressed(folder: Path, *more: str):
    """What the command says, as JSON."""
    files = [*more, "--input", str(folder / "history.csv"), "--output", str(folder / "small.safetensors"), "--json"]
    arguments = ["compress", str(folder / "pumps.yaml"), str(folder / "pumps.safetensors"), *files]
    return json.loads(CliRunner().invoke(models, arguments, catch_exceptions=False).stdout.splitlines()[-1])


def test_a_file_becomes_smaller_and_every_task_and_size_is_told(folder: Path) -> None:
    found = compressed(folder)
    assert [(step["name"], step["kept"]) for step in found["steps"]] == [
        ("private paths left out", True),
        ("units left out, width 24", True),  # a fresh network forecasts persistence, whatever its width
        ("units left out, width 16", True),
        ("units left out, width 8", True),
        ("matrices in int8", True),
    ]
    assert (folder / "small.safetensors").stat().st_size == found["after"]["file_bytes"]
    assert found["after"]["file_bytes"] < 0.5 * found["before"]["file_bytes"]
    assert found["after"]["parameters"] < found["before"]["parameters"]
    before, after = (found[when]["state_bytes"] for when in ("before", "after"))
    assert after == before | {"hidden": before["hidden"] // 4}
    assert set(found["steps"][-1]["losses"]) == {"forecast", "anomaly"}


def test_units_stay_where_modalities_have_different_cells_and_the_rest_is_done(folder: Path) -> None:
    described = yaml.safe_load((folder / "pumps.yaml").read_text())
    one, other = described["modalities"][0]["signals"]
    modalities = [{"name": "motor", "cell": "ssm", "signals": [one]}, {"name": "oil", "signals": [other]}]
    (folder / "pumps.yaml").write_text(yaml.safe_dump(described | {"modalities": modalities}))
    layout = Layout(load_monitor(str(folder / "pumps.yaml")))
    (folder / "pumps.safetensors").write_bytes(save_weights(Network(layout)))
    steps = compressed(folder)["steps"]
    assert [(step["name"], step["kept"]) for step in steps] == [
        ("private paths left out", True),
        ("matrices in int8", True),
    ]


def test_units_stay_where_a_task_has_no_labels_to_be_judged_by_and_that_is_said(folder: Path) -> None:
    described = yaml.safe_load((folder / "pumps.yaml").read_text())
    tasks = [*described["tasks"], {"name": "wear", "kind": "state", "classes": ["low", "high"]}]
    (folder / "pumps.yaml").write_text(yaml.safe_dump(described | {"tasks": tasks}))
    layout = Layout(load_monitor(str(folder / "pumps.yaml")))
    (folder / "pumps.safetensors").write_bytes(save_weights(Network(layout)))
    assert [step["name"] for step in compressed(folder)["steps"]] == ["private paths left out", "matrices in int8"]
    arguments = ["compress", str(folder / "pumps.yaml"), str(folder / "pumps.safetensors")]
    files = ["--input", str(folder / "history.csv"), "--output", str(folder / "small.safetensors")]
    said = CliRunner().invoke(models, [*arguments, *files], catch_exceptions=False).output
    assert "no unit is left out" in said
    assert "wear" in said


@pytest.mark.parametrize("width", [32, 8], ids=["as-it-was", "as-narrow"])
@pytest.mark.parametrize("learning", ["--learn", "--no-learn"])
def test_a_compressed_file_serves_and_learns_in_a_backtest_whichever_width_is_configured(folder, width, learning):
    compressed(folder)
    described = yaml.safe_load((folder / "pumps.yaml").read_text())
    (folder / "pumps.yaml").write_text(yaml.safe_dump(described | {"model": {"width": width}}))
    arguments = [str(folder / "pumps.yaml"), "--input", str(folder / "history.csv"), learning, "--json"]
    model = ["--model", str(folder / "small.safetensors"), "--scores", str(folder / "scores.parquet")]
    done = CliRunner().invoke(backtest, [*arguments, *model], catch_exceptions=False)
    assert done.exit_code == 0
    assert (folder / "scores.parquet").exists()


def test_fitting_goes_on_from_a_compressed_file_at_its_width(folder: Path) -> None:
    compressed(folder)
    files = ["--input", str(folder / "history.csv"), "--output", str(folder / "fitted.safetensors"), "--passes", "1"]
    arguments = [str(folder / "pumps.yaml"), "--model", str(folder / "small.safetensors"), *files]
    assert CliRunner().invoke(train, arguments, catch_exceptions=False).exit_code == 0
    layout = Layout(load_monitor(str(folder / "pumps.yaml")))
    fitted = load_weights(layout, (folder / "fitted.safetensors").read_bytes())
    assert (fitted.layout.monitor.model.width, fitted.cut_from) == (8, 32)


def test_such_a_fit_is_resumed_from_the_same_file_and_from_no_other(folder: Path) -> None:
    compressed(folder)
    files = ["--input", str(folder / "history.csv"), "--output", str(folder / "fitted.safetensors"), "--passes", "1"]
    small, fresh = (
        [str(folder / "pumps.yaml"), "--model", model, *files] for model in (str(folder / "small.safetensors"), "fresh")
    )
    assert CliRunner().invoke(train, small, catch_exceptions=False).exit_code == 0
    assert CliRunner().invoke(train, [*small, "--resume"], catch_exceptions=False).exit_code == 0
    with pytest.raises(ModelError, match="got other weights; expected the weights that the run began from"):
        CliRunner().invoke(train, [*fresh, "--resume"], catch_exceptions=False)


def test_what_is_left_is_tuned_where_epochs_are_asked_for(folder: Path) -> None:
    plain, tuned = (compressed(folder, "--tune-epochs", epochs)["steps"][1] for epochs in ("0", "1"))
    assert plain["losses"] != tuned["losses"]


def test_what_makes_a_task_worse_is_refused_with_its_figures_and_the_file_stays_as_it_was(folder, monkeypatch) -> None:
    monkeypatch.setattr(compressing, "MOST", -0.5)  # no step can win half of a loss
    found = compressed(folder)
    assert [step["kept"] for step in found["steps"]] == [False, False, False]
    assert all("anomaly" in step["why"] and "->" in step["why"] for step in found["steps"])
    assert (folder / "small.safetensors").read_bytes() == (folder / "pumps.safetensors").read_bytes()


def test_private_paths_that_serve_a_task_are_never_left_out(folder: Path) -> None:
    layout = Layout(load_monitor(str(folder / "pumps.yaml")))
    network = load_weights(layout, (folder / "pumps.safetensors").read_bytes())
    network.private.detach_tasks([True, False])
    (folder / "pumps.safetensors").write_bytes(save_weights(network))
    assert "private paths left out" not in [step["name"] for step in compressed(folder)["steps"]]


def test_what_cannot_be_read_or_does_not_fit_is_told_before_history_is_read(folder: Path) -> None:
    (folder / "history.csv").write_text("entity,time\n")
    files = ["--input", str(folder / "history.csv"), "--output", str(folder / "small.safetensors")]
    for model, words in (
        ("fresh", "^fresh: No such file or directory; expected a version number or a file$"),
        ("3", f"^no database at {folder}/bellwether.db; .* in the monitor's database.url or DATABASE_URL$"),
        (str(folder / "narrow.safetensors"), "narrow.safetensors: model.width is 8 in the file, 32 in the monitor"),
    ):
        narrow = Layout(load_monitor(str(folder / "pumps.yaml"), over={"model.width": 8}))
        (folder / "narrow.safetensors").write_bytes(save_weights(Network(narrow)))
        with pytest.raises(BellwetherError, match=words):
            CliRunner().invoke(models, ["compress", str(folder / "pumps.yaml"), model, *files], catch_exceptions=False)
