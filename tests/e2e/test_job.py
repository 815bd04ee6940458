"""`bellwether run` submitted to a Ray cluster, as a RayJob does it."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy import func, select

from infra.database import connect, migrate
from infra.stack.server import free_port
from schemas.tables import TaskMetricRow
from scorer.alerts import alerts, reading
from tests.e2e.program import monitor_file, wait_for
from tests.e2e.stream import Sending, icu_records, wait_until_accounted

pytestmark = pytest.mark.service

COUNT = 2_000
RAY = Path(sys.executable).parent / "ray"
JOB = yaml.safe_load((Path(__file__).parents[2] / "infra" / "deploy" / "rayjob.yaml").read_text())
ENVIRONMENT = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "RAY_AUTH_MODE": "disabled"}
PORTS = ("port", "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port")


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[str]:
    """The address that jobs are submitted to, of a cluster of one node."""
    ports = {name: free_port() for name in PORTS}
    command = [RAY, "start", "--head", "--block", "--num-cpus=4", "--node-ip-address=127.0.0.1"]
    command += ["--dashboard-host=127.0.0.1", *(f"--{name}={port}" for name, port in ports.items())]
    log = (tmp_path / "ray.log").open("w")
    node = subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT, start_new_session=True)
    address = f"http://127.0.0.1:{ports['dashboard-port']}"
    try:
        wait_for(lambda: submitted(address, "list").returncode == 0, 60, "a cluster that takes jobs")
        yield address
    finally:
        node.send_signal(signal.SIGTERM)
        node.wait(timeout=30)
        log.close()


def submitted(address: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `ray job` says."""
    command = [RAY, "job", arguments[0], "--address", address, *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT)


def steps_taken(url: str) -> int:
    """As the trainers' metrics say."""
    with reading(url) as connection:
        return connection.execute(select(func.max(TaskMetricRow.step))).scalar() or 0


def test_a_submitted_job_scores_learns_raises_alerts_and_ends_when_it_is_stopped(
    kafka: str, topic: str, tmp_path: Path, shared_data: Path, dashboard: str
) -> None:
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    path, monitor = monitor_file(tmp_path / "ward", kafka, url, topic)
    migrate(connect(url))
    Sending.start(icu_records(shared_data, monitor, COUNT), kafka, topic, rate=None).thread.join()
    program, command, _, *options = shlex.split(JOB["spec"]["entrypoint"])
    entrypoint = [str(Path(sys.executable).parent / program), command, str(path), *options]
    said = submitted(dashboard, "submit", "--no-wait", "--submission-id", "ward", "--", *entrypoint)
    assert said.returncode == 0, said.stdout + said.stderr
    wait_until_accounted(url, monitor.monitor, COUNT, 120)
    wait_for(lambda: steps_taken(url) > 0, 60, "a step of the trainer's")
    assert submitted(dashboard, "stop", "ward").returncode == 0
    totals = submitted(dashboard, "logs", "ward").stdout.strip().splitlines()[-1]
    assert json.loads(totals)["events"] == COUNT
    assert len(alerts(monitor=monitor.monitor, url=url))
