"""What the demo refuses, it refuses before it has started anything or emptied its folder."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from infra.commands.demo import MONITORS, demo
from infra.demo import demo as run_demo
from infra.settings import shipped
from schemas.errors import ConfigError


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    (tmp_path / "bellwether-demo").touch()
    (tmp_path / "bellwether.db").touch()
    return tmp_path


def test_a_monitor_without_a_demo_is_refused(earlier: Path) -> None:
    refused = CliRunner().invoke(demo, ["--monitor", "foo", "--directory", str(earlier)])
    assert (refused.exit_code, "'foo' is not one of 'health', 'finance'" in refused.stderr) == (2, True)


def test_a_wrong_override_is_refused(earlier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELLWETHER_RAY__SHARDS", "0")
    with pytest.raises(ConfigError, match="BELLWETHER_RAY__SHARDS"):
        run_demo(["health"], earlier, None, as_json=False, verbose=False)
    assert (earlier / "bellwether.db").exists()


def test_every_monitor_on_offer_is_shipped() -> None:
    assert set(MONITORS) <= set(shipped())
