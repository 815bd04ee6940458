"""The tasks' similarity, read back as it was last recorded."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra.commands.models import models
from infra.database import connect, migrate
from infra.registry import SqlRegistry
from infra.similarity import read_similarity
from schemas.errors import ModelError
from tests.laws.ward import layout
from trainer.network import Network
from trainer.weights import save_weights


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    engine = connect(url)
    migrate(engine)
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: datetime(2026, 1, 31, tzinfo=UTC))
    registry.record_metrics(1, 32, 100, {"forecast.loss": 1.0, "forecast.similarity_soon": 0.9})
    registry.record_metrics(1, 64, 200, {"forecast.similarity_soon": 0.5, "forecast.similarity_anomaly": -0.5})
    registry.record_metrics(2, 0, 900, {"forecast.similarity_soon": 0.75})
    registry.record_metrics(1, 96, 300, {"forecast.similarity_soon": 0.25})
    engine.dispose()
    return url


def said(*arguments: str) -> str:
    return CliRunner().invoke(models, ["similarity", *arguments], catch_exceptions=False).stdout


def test_the_newest_cosine_of_each_pair_stands_both_ways_round(url: str) -> None:
    assert read_similarity(url) == {
        "ward": {
            "forecast": {"soon": 0.25, "anomaly": -0.5},
            "soon": {"forecast": 0.25},
            "anomaly": {"forecast": -0.5},
        }
    }


def test_a_monitor_whose_network_never_learned_has_none(url: str, tmp_path: Path) -> None:
    engine = connect(url)
    SqlRegistry(engine, "other", tmp_path, lambda: datetime(2026, 1, 31, tzinfo=UTC)).publish(b"one", None, {})
    engine.dispose()
    said = CliRunner().invoke(models, ["similarity", "--monitor", "other", "--database", url])
    assert said.stdout.splitlines()[-1].startswith("no similarity recorded")


def test_the_table_and_json_say_the_same(url: str) -> None:
    run = CliRunner()
    assert "-0.50" in run.invoke(models, ["similarity", "--database", url]).stdout
    assert json.loads(run.invoke(models, ["similarity", "--database", url, "--json"]).stdout) == read_similarity(url)


def test_a_version_has_its_own(url: str) -> None:
    assert json.loads(said("2", "--database", url, "--json")) == {
        "ward": {"forecast": {"soon": 0.75}, "soon": {"forecast": 0.75}}
    }
    assert said("3", "--database", url).startswith("no similarity recorded of version 3, by the fit that made it or")


def test_a_file_holds_what_its_fit_measured(tmp_path: Path) -> None:
    fitted, fresh = (str(tmp_path / name) for name in ("fitted.safetensors", "fresh.safetensors"))
    network = Network(layout())
    Path(fitted).write_bytes(save_weights(network, similarity={"forecast.similarity_soon": -0.25}))
    Path(fresh).write_bytes(save_weights(network))
    assert json.loads(said(fitted, "--json")) == {fitted: {"forecast": {"soon": -0.25}, "soon": {"forecast": -0.25}}}
    assert said(fresh).startswith(f"{fresh}: no similarity in it: it is measured every training.similarity_every steps")


def test_what_is_neither_a_version_nor_a_file_is_answered_with_what_would_be() -> None:
    expected = r"^pumps: No such file or directory; expected a version number or a file of weights; --monitor names"
    with pytest.raises(ModelError, match=expected):
        said("pumps")
