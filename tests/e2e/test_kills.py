"""kill -9 at random moments: the alerts are those of an undisturbed run, none lost, none doubled."""

from pathlib import Path

import pytest

from tests.drill.kills import Drill, kill_run
from tests.e2e.program import monitor_file
from tests.e2e.stream import icu_records

COUNT = 20_000
KILLS = 10
RATE = 200.0
"""Observations a second: slow enough that all kills happen in the middle of the stream."""


@pytest.mark.service
@pytest.mark.timeout(900)
def test_ten_kills_change_no_alert(
    kafka: str, two_databases: tuple[str, str], topic: str, shared_data: Path, tmp_path: Path
) -> None:
    _, monitor = monitor_file(tmp_path / "any", kafka, two_databases[0], topic)
    records = icu_records(shared_data, monitor, COUNT)
    verdict = kill_run(Drill(records, kafka, topic, *two_databases, tmp_path, RATE), KILLS, seed=20261123)
    assert verdict.alerts > 100
    assert verdict.clean, verdict.described()
