"""The demo, as a newcomer starts it."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.e2e.program import BELLWETHER, Program, group_of, wait_for


@pytest.mark.service
def test_the_demo_ends_with_one_line_for_machines(tmp_path: Path) -> None:
    command = [BELLWETHER, "demo", "--seconds", "25", "--directory", str(tmp_path / "demo"), "--json"]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=240)
    told = json.loads(ended.stdout.splitlines()[-1])
    named = {"events", "alerts", "dead_letters", "seconds", "model_version", "first_alert_seconds"}
    assert (named <= set(told), told["events"] > 0, told["alerts"] > 0) == (True, True, True)


@pytest.mark.service
def test_ctrl_c_ends_a_demo_that_runs_and_leaves_no_process(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    program = Program(["demo", "--monitor", "finance", "--directory", str(directory)]).start()
    assert program.process is not None
    try:
        wait_for((directory / "bellwether.db").exists, 120, "a demo that made its database")
        assert program.stop() == 0
        wait_for(lambda: not group_of(program.process.pid), 10, "no process left behind")
    finally:
        for pid in group_of(program.process.pid):
            psutil.Process(pid).kill()
