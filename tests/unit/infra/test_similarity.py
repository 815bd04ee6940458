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


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    engine = connect(url)
    migrate(engine)
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: datetime(2026, 1, 31, tzinfo=UTC))
    registry.record_metrics(1, 32, 100, {"forecast.loss": 1.0, "forecast.similarity_soon": 0.9})
    registry.record_metrics(1, 64, 200, {"forecast.similarity_soon": 0.25, "forecast.similarity_anomaly": -0.5})
    engine.dispose()
    return url


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
