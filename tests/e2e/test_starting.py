"""A program that is still starting: an absent broker is waited for, a crashed one outlived, and Ctrl-C ends it."""

import time
from pathlib import Path

import psutil
import pytest

from infra.stack.kafka import KafkaBroker
from infra.stack.server import free_port
from tests.e2e.program import Program, group_of, monitor_file, wait_for
from tests.e2e.stream import Sending, wait_until_accounted
from tests.e2e.test_poison import sound_records


@pytest.mark.service
def test_the_program_waits_for_a_broker_and_outlives_its_crash(fresh_postgres: str, topic: str, tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "kafka", port=free_port())
    path, _ = monitor_file(tmp_path / "absent", broker.bootstrap, fresh_postgres, topic)
    records = sound_records()
    program = Program(["run", str(path), "--no-learn", "--json"]).start()
    try:
        wait_for(lambda: len(program.lines) > 3, 60, "a program that waits for its broker")
        broker.start()
        Sending.start(records[:150], broker.bootstrap, topic, rate=None).thread.join()
        wait_until_accounted(fresh_postgres, "health", 150, 60)
        broker.kill()
        broker.start()
        Sending.start(records[150:], broker.bootstrap, topic, rate=None).thread.join()
        wait_until_accounted(fresh_postgres, "health", len(records), 60)
        code = program.stop()
    finally:
        if program.process is not None and program.process.poll() is None:
            program.kill()
        broker.stop()
    assert code == 0


@pytest.mark.service
@pytest.mark.parametrize("seconds", [1.5, 3.0, 4.0, 5.0])
def test_ctrl_c_ends_a_program_that_is_still_starting(topic: str, tmp_path: Path, seconds: float) -> None:
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    path, _ = monitor_file(tmp_path / "starting", f"127.0.0.1:{free_port()}", url, topic)
    program = Program(["run", str(path), "--no-learn", "--json"]).start()
    assert program.process is not None
    try:
        time.sleep(seconds)
        assert program.stop() in {0, 130}
        wait_for(lambda: not group_of(program.process.pid), 10, "no process left behind")
    finally:
        for pid in group_of(program.process.pid):
            psutil.Process(pid).kill()
