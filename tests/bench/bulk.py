"""Throughput: a system reads a topic that is already full."""

import time
from dataclasses import dataclass

import psycopg

from tests.bench.footprint import PeakMemory, cpu_seconds, spent
from tests.bench.services import Services, libpq
from tests.bench.systems import Running, System, running

TOPIC = "bench.bulk"
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Bulk:
    """What was measured, from the first commit seen to the last; `start_s` is what came before.

    `cpu_seconds` and `peak_pss_mb` are those of the system's whole process tree.
    """

    events_per_s: float
    events_per_cpu_s: float
    cpu_seconds: float
    start_s: float
    peak_pss_mb: float
    alerts: int


def measure(system: System, services: Services, count: int) -> Bulk:
    """Let a system account for the topic's `count` records. Raises RuntimeError when it ends or stalls."""
    database = services.fresh_database(f"bulk_{system.name}")
    command = system.command(services, TOPIC, database)
    log = services.directory / f"bulk-{system.name}.log"
    began = time.monotonic()
    with (
        psycopg.connect(libpq(database), autocommit=True) as connection,
        running(command, log) as program,
        PeakMemory(program.process.pid) as memory,
    ):
        first, first_count = wait_for(connection, system, 1, program)
        cpu_first = cpu_seconds(program.process.pid)
        last, last_count = wait_for(connection, system, count, program)
        cpu = spent(cpu_first, cpu_seconds(program.process.pid))
        alerts = len(connection.execute(system.alerts.encode()).fetchall())
    events = last_count - first_count
    return Bulk(
        events_per_s=events / (last - first),
        events_per_cpu_s=events / cpu,
        cpu_seconds=cpu,
        start_s=first - began,
        peak_pss_mb=memory.peak_mb,
        alerts=alerts,
    )


def wait_for(connection: psycopg.Connection, system: System, count: int, program: Running) -> tuple[float, int]:
    """When at least `count` records were accounted for, and how many then were."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        program.check()
        row = connection.execute(system.progress.encode()).fetchone()
        accounted = int(row[0]) if row else 0
        if accounted >= count:
            return time.monotonic(), accounted
        time.sleep(_LOOK_SECONDS)
    raise RuntimeError(f"{system.name}: got {accounted} records accounted for; expected {count}; log {program.log}")
