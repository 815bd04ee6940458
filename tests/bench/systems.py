"""The systems under test: how each is started, and how each one's database says how far it is."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import yaml

from infra.database import connect, migrate
from tests.bench.footprint import tree
from tests.bench.loop import TABLES
from tests.bench.services import Services, libpq

MONITOR = Path(__file__).with_name("monitor.yaml")
_STOP_SECONDS = 60.0
_BELLWETHER = Path(sys.executable).parent / "bellwether"


@dataclass(frozen=True, slots=True)
class System:
    """One system.

    Attributes:
        name: shown, and part of names of databases and files.
        loop: module of a hand-written loop; empty: bellwether itself.
        options: bellwether's own options.
    """

    name: str
    loop: str = ""
    options: tuple[str, ...] = ()

    @property
    def progress(self) -> str:
        """Query for the number of records accounted for."""
        if self.loop:
            return 'SELECT coalesce(sum("offset"), 0) FROM loop_offsets'
        whole = "accepted + partly + dead_lettered + duplicate"
        return f"SELECT coalesce(sum({whole}), 0) FROM partitions WHERE monitor = 'bench'"

    @property
    def alerts(self) -> str:
        """Query for broken bands: event time, when the system says it knew, when the database committed it."""
        if self.loop:
            table, known = "loop_alerts e WHERE e.kind = 'band'", "e.known_at"
        else:
            table = "alert_events e JOIN alerts a ON a.id = e.alert_id WHERE a.kind = 'band' AND e.change = 'opened'"
            known = "e.recorded_at"
        times = ("e.event_time", known, "pg_xact_commit_timestamp(e.xmin)")
        return f"SELECT {', '.join(f'extract(epoch FROM {time}) * 1000' for time in times)} FROM {table}"

    def command(self, services: Services, topic: str, database: str) -> list[str]:
        """What to run, after making what it needs."""
        if self.loop:
            with psycopg.connect(libpq(database), autocommit=True) as connection:
                connection.execute(TABLES)
            addresses = ["--bootstrap", services.bootstrap, "--topic", topic, "--database", libpq(database)]
            return [sys.executable, "-m", self.loop, *addresses]
        engine = connect(database)
        migrate(engine)
        engine.dispose()
        path = services.directory / f"{self.name}-{topic}.yaml"
        path.write_text(yaml.safe_dump(described(services, topic, database)), encoding="utf-8")
        return [str(_BELLWETHER), "run", str(path), "--json", *self.options]


KAFKA_LOOP = System("kafka_loop", loop="tests.bench.loop_kafka")
TORCH_LOOP = System("torch_loop", loop="tests.bench.loop_torch")
BELLWETHER = System("bellwether", options=("--no-learn",))
LEARNING = System("bellwether_learning")
TWO_SHARDS = System("bellwether_2_shards", options=("--no-learn", "--shards", "2"))
ALL = {system.name: system for system in (BELLWETHER, LEARNING, TWO_SHARDS, KAFKA_LOOP, TORCH_LOOP)}


def described(services: Services, topic: str, database: str) -> dict[str, Any]:
    """The benchmark's monitor, pointed at the services."""
    found: dict[str, Any] = yaml.safe_load(MONITOR.read_text(encoding="utf-8"))
    found["topics"] = {"observations": topic}
    found["kafka"] = {"bootstrap_servers": services.bootstrap, "group_id": topic}
    found["database"] = {"url": database, "directory": str(services.directory / f"files-{topic}")}
    return found


@dataclass(frozen=True, slots=True)
class Running:
    """A started system."""

    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise, with the end of its log, when it has ended."""
        if self.process.poll() is not None:
            words = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"got exit status {self.process.returncode}; expected it to run; its log ends:\n{words}")


@contextmanager
def running(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Running]:
    """The command, in a session of its own, until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, env=environment
        )
    try:
        yield Running(process, log)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    family = tree(process.pid)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
