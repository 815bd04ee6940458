"""`bellwether train`: files in, a version of the monitor's database out."""

from pathlib import Path

import yaml
from click.testing import CliRunner

from infra.commands.train import train
from infra.database import connect
from infra.registry import SqlRegistry
from tests.wide import wide


def test_a_network_fitted_on_history_serves_from_the_monitors_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    described = {
        "monitor": "pumps",
        "topics": {"observations": "pumps"},
        "modalities": [{"name": "motor", "signals": [{"name": "load %"}, {"name": "temp"}]}],
        "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
        "database": {"url": url, "directory": str(tmp_path)},
    }
    path, history = tmp_path / "pumps.yaml", tmp_path / "history.csv"
    path.write_text(yaml.safe_dump(described))
    wide(8).to_csv(history, index=False)
    ended = CliRunner().invoke(train, [str(path), "--input", str(history), "--passes", "3"], catch_exceptions=False)
    serving = SqlRegistry(connect(url), "pumps", tmp_path, lambda: None).serving()
    assert (ended.exit_code, serving.version, serving.parent) == (0, 2, 1)
