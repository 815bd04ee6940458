"""The broker and the database that every system is measured against."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from infra.stack.kafka import KafkaBroker
from infra.stack.postgres import Postgres, create_database


@dataclass(frozen=True, slots=True)
class Services:
    """Addresses, and a directory for files."""

    bootstrap: str
    database_url: str
    directory: Path

    def fresh_database(self, name: str) -> str:
        """URL of an empty database of this name."""
        url = make_url(self.database_url)
        assert url.port is not None
        create_database(url.port, name)
        return url.set(database=name).render_as_string(hide_password=False)


@contextmanager
def services() -> Iterator[Services]:
    """A real Kafka and a real PostgreSQL in a temporary directory, which end with the block."""
    with tempfile.TemporaryDirectory(prefix="bellwether-bench-") as folder:
        directory = Path(folder)
        directory.chmod(0o711)  # the account that runs PostgreSQL for root must enter it
        with KafkaBroker(directory / "kafka") as broker, Postgres(directory / "postgres") as postgres:
            _keep_commit_times(postgres)
            yield Services(broker.bootstrap, postgres.url, directory)


def libpq(url: str) -> str:
    """The URL as psycopg itself reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _keep_commit_times(postgres: Postgres) -> None:
    """Let the server say when each row's transaction was committed: one clock for every system under test."""
    with psycopg.connect(libpq(postgres.url), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    postgres.stop()
    postgres.start()
