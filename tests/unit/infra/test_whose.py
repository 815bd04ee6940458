"""Commands about a monitor's file speak to the database that it runs with."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from click import Command
from click.testing import CliRunner

from infra.assembly import utc_now
from infra.commands.alerts import alerts
from infra.commands.labels import labels
from infra.commands.models import models
from infra.database import connect, migrate
from infra.registry import SqlRegistry


@pytest.fixture
def mill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A monitor's file; its database holds one version, and is neither the embedded one nor the environment's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    url = f"sqlite:///{tmp_path / 'elsewhere' / 'mill.db'}"
    (tmp_path / "elsewhere").mkdir()
    settings = {
        "monitor": "mill",
        "topics": {"observations": "mill"},
        "modalities": [{"name": "saw", "signals": [{"name": "speed"}]}],
        "tasks": [{"name": "next", "kind": "forecast"}, {"name": "odd", "kind": "anomaly"}],
        "database": {"url": url, "directory": str(tmp_path / "weights")},
    }
    (tmp_path / "mill.yaml").write_text(yaml.safe_dump(settings))
    engine = connect(url)
    migrate(engine)
    registry = SqlRegistry(engine, "mill", tmp_path / "weights", utc_now)
    for parent in (None, 1):
        registry.publish(b"weights", parent, {"next.loss": 0.5})
    engine.dispose()
    return "mill.yaml"


def said(command: Command, *arguments: str) -> str:
    return CliRunner().invoke(command, arguments, catch_exceptions=False).stdout


@pytest.mark.parametrize("arguments", [["list", "{}"], ["list", "--monitor", "{}"]])
def test_versions_are_listed_from_the_database_of_the_file(mill: str, arguments: Sequence[str]) -> None:
    found = json.loads(said(models, *(each.format(mill) for each in arguments), "--json"))
    assert [(each["monitor"], each["version"]) for each in found] == [("mill", 2), ("mill", 1)]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (models, ["actions", "{}"]),
        (models, ["metrics", "--monitor", "{}"]),
        (models, ["similarity", "--monitor", "{}"]),
        (labels, ["list", "--monitor", "{}"]),
        (alerts, ["list", "--monitor", "{}"]),
        (alerts, ["budget", "--monitor", "{}"]),
    ],
)
def test_what_else_is_read_is_read_there_too(mill: str, command: Command, arguments: Sequence[str]) -> None:
    assert json.loads(said(command, *(each.format(mill) for each in arguments), "--json")) in ([], {})


def test_a_version_is_promoted_there(mill: str) -> None:
    assert said(models, "promote", "1", "--monitor", mill).endswith("mill: v1 serves\n")


def test_a_url_that_is_asked_for_goes_before_the_files(mill: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    engine = connect(other)
    migrate(engine)
    SqlRegistry(engine, "mill", tmp_path, utc_now).publish(b"weights", None, {})
    engine.dispose()
    assert len(json.loads(said(models, "list", mill, "--database", other, "--json"))) == 1
