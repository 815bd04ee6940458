"""`stack up|down|status`: a broker and a database that outlive the command, and the file that remembers them."""

import contextlib
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import psutil

from infra.stack import kafka, postgres, server
from schemas.errors import StackError

KAFKA_PORT = 9092
POSTGRES_PORT = 5432
_STATE = "stack.json"
_END_WITH = {"kafka": signal.SIGTERM, "postgres": signal.SIGINT}


class Service(msgspec.Struct, frozen=True):
    """A server that was started: `created` (seconds since the epoch) tells it from a later program with its pid."""

    name: str
    address: str
    port: int
    pid: int
    created: float


class ServiceStatus(msgspec.Struct, frozen=True):
    """What `status` says of one service."""

    name: str
    address: str
    pid: int
    running: bool
    answering: bool


_VARIABLES = {"kafka": "BELLWETHER_KAFKA__BOOTSTRAP_SERVERS", "postgres": "DATABASE_URL"}


def up(directory: Path, say: Callable[[str], None] | None = None) -> list[ServiceStatus]:
    """Start what is not running. Ports 9092 and 5432 where they are free, so that the default settings fit.

    Args:
        directory: holds the services' data and the state file.
        say: told in words what takes long.
    """
    known = {service.name: service for service in _read(directory)}
    for name, launch in (("kafka", _start_kafka), ("postgres", _start_postgres)):
        if name not in known or _running(known[name]) is None:
            known[name] = launch(directory, known[name].port if name in known else None, say)
            _write(directory, list(known.values()))
    return status(directory)


def down(directory: Path) -> list[str]:
    """End exactly what `up` started; the data stays. Returns the names of the services ended."""
    ended = []
    for service in reversed(_read(directory)):
        running = _running(service)
        if running is not None:
            server.end(running, _END_WITH[service.name])
            ended.append(service.name)
    return ended


def status(directory: Path) -> list[ServiceStatus]:
    """Each known service: does its program run, does it answer? Empty before the first `up`."""
    answers = {"kafka": kafka.answers, "postgres": postgres.answers}
    states = []
    for service in _read(directory):
        running = _running(service) is not None
        answering = running and answers[service.name](service.port)
        states.append(ServiceStatus(service.name, service.address, service.pid, running, answering))
    return states


def environment(services: Sequence[ServiceStatus]) -> dict[str, str]:
    """Variables through which every command reaches the services that answer."""
    return {_VARIABLES[service.name]: service.address for service in services if service.answering}


def _start_kafka(directory: Path, port: int | None, say: Callable[[str], None] | None) -> Service:
    port = server.free_port(port or KAFKA_PORT)
    broker = kafka.KafkaBroker(directory / "kafka", port, detached=True, say=say)
    return _remember("kafka", broker.start(), port, broker.process)


def _start_postgres(directory: Path, port: int | None, _say: Callable[[str], None] | None) -> Service:
    port = server.free_port(port or POSTGRES_PORT)
    database = postgres.Postgres(directory / "postgres", port, detached=True)
    return _remember("postgres", database.start(), port, database.process)


def _remember(name: str, address: str, port: int, running: psutil.Process | None) -> Service:
    assert running is not None
    return Service(name, address, port, running.pid, running.create_time())


def _running(service: Service) -> psutil.Process | None:
    with contextlib.suppress(psutil.NoSuchProcess):
        found = psutil.Process(service.pid)
        if found.create_time() == service.created and found.status() != psutil.STATUS_ZOMBIE:
            return found
    return None


def _read(directory: Path) -> list[Service]:
    path = directory / _STATE
    if not path.exists():
        return []
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Service])
    except msgspec.DecodeError as error:
        raise StackError(f"{path}: got {error}; expected what `stack up` wrote") from error


def _write(directory: Path, services: list[Service]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / _STATE
    whole = path.with_suffix(".new")
    whole.write_bytes(msgspec.json.format(msgspec.json.encode(services)))
    whole.replace(path)
