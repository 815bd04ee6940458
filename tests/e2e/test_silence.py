"""A feed that ends: the running program tells whose it is, and what became of the alarm budget."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from scorer.alerts import Wanted, read_alerts
from tests.e2e.program import BELLWETHER, Program, monitor_file, wait_for
from tests.e2e.stream import Record, Sending, wait_until_accounted

PATIENTS = ("p1", "p2", "p3")
SILENCE = {"periods": {"HR": "PT2S"}, "kinds": ["stopped"]}


def records() -> list[Record]:
    """A heart rate of each patient a second, up to now."""
    now_ms = int(time.time() * 1000)
    return [
        (name.encode(), json.dumps({"entity": name, "time": now_ms - 1000 * age, "HR": 80 + age % 3}).encode(), None)
        for age in range(20, 0, -1)
        for name in PATIENTS
    ]


@pytest.mark.service
def test_a_feed_that_ends_is_told_within_seconds(kafka: str, database_url: str, topic: str, tmp_path: Path) -> None:
    budget = {"budget": {"entity": "0.5 per day", "total": "20 per day"}}
    path, _ = monitor_file(tmp_path / "silence", kafka, database_url, topic, silence=SILENCE, alerts=budget)
    Sending.start([], kafka, topic, rate=None).thread.join()
    program = Program(["run", str(path), "--no-learn", "--json"]).start()
    try:
        sent = records()
        Sending.start(sent, kafka, topic, rate=None).thread.join()
        wait_until_accounted(database_url, "health", len(sent), 90)

        def stopped() -> set[str]:
            return {row["entity"] for row in read_alerts(Wanted(), None, database_url) if row["kind"] == "stopped"}

        wait_for(lambda: stopped() == set(PATIENTS), 20, "an alert for each patient")
        told = subprocess.run(
            [BELLWETHER, "alerts", "budget", "--database", database_url, "--json"], capture_output=True, check=True
        )
    finally:
        program.stop()
    assert [(each["budget"], each["asked"], each["alarms"]) for each in json.loads(told.stdout)] == [
        ("entity", "0.5 per entity-day", 0),
        ("total", "20 per day", 0),
    ]
