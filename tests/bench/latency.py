"""Latency: from an event's time, which is when it was sent, to the commit of its alert row."""

import subprocess
import sys
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import psycopg
from numpy.typing import NDArray

from ingest.producer import create_topics, publish
from scorer.alerts import reading
from tests.bench.bulk import wait_for
from tests.bench.feeder import Fed
from tests.bench.footprint import cpu_seconds, spent
from tests.bench.learned import Learned, learned
from tests.bench.services import Services, libpq
from tests.bench.stream import ENTITIES, PARTITIONS, records, walks
from tests.bench.systems import System, running

RATE = 2_000.0
_SETTLE_SECONDS = 3.0
"""Events of the first seconds are not counted: every system starts its first allocations and connections then."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from event to commit, as the database dates it; `known_*`: to the row's own `known_at`.

    Attributes:
        found: broken bands that became alert rows, of `expected`.
        cpu_share: CPU-seconds a second of the system's process tree.
        learned: what came into service meanwhile; None: nothing.
    """

    p50_ms: float
    p99_ms: float
    max_ms: float
    known_p50_ms: float
    known_p99_ms: float
    found: int
    expected: int
    cpu_share: float
    learned: Learned | None = None


def measure(system: System, services: Services, seconds: float) -> Latency:
    """Feed a warm system at `RATE` and read its alert rows' times."""
    topic, database = f"bench.live.{system.name}", services.fresh_database(f"live_{system.name}")
    create_topics(services.bootstrap, {topic: PARTITIONS, f"{topic}.dlq": 1})
    publish(records(walks(ENTITIES, 0.0), ENTITIES), services.bootstrap, topic)
    command = system.command(services, topic, database)
    log = services.directory / f"live-{system.name}.log"
    count = int(RATE * (seconds + _SETTLE_SECONDS))
    with psycopg.connect(libpq(database), autocommit=True) as connection, running(command, log) as program:
        wait_for(connection, system, ENTITIES, program)
        before = cpu_seconds(program.process.pid)
        fed = _feed(services.bootstrap, topic, count)
        share = spent(before, cpu_seconds(program.process.pid)) / (count / RATE)
        wait_for(connection, system, ENTITIES + count, program)
        rows = np.array(connection.execute(system.alerts.encode()).fetchall(), dtype=np.float64).reshape(-1, 3)
    settled_ms = fed.began_ms + _SETTLE_SECONDS * 1000
    rows = rows[rows[:, 0] >= settled_ms]
    expected = sum(at >= settled_ms for at in fed.breaks_ms)
    found = _summary(rows[:, 1] - rows[:, 0], rows[:, 2] - rows[:, 0], expected, share)
    if system.loop:
        return found
    with reading(database) as known:
        return replace(found, learned=learned(known))


def _feed(bootstrap: str, topic: str, count: int) -> Fed:
    command = [sys.executable, "-m", "tests.bench.feeder", "--bootstrap", bootstrap, "--topic", topic]
    done = subprocess.run([*command, "--rate", str(RATE), "--count", str(count)], stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Fed)


def _summary(known_ms: NDArray[np.float64], committed_ms: NDArray[np.float64], expected: int, share: float) -> Latency:
    if not len(committed_ms):
        raise RuntimeError(f"got no alert row; expected {expected}")
    p50, p99, worst = np.percentile(committed_ms, [50, 99, 100]).tolist()
    known_p50, known_p99 = np.percentile(known_ms, [50, 99]).tolist()
    return Latency(p50, p99, worst, known_p50, known_p99, len(committed_ms), expected, share)
