"""The database's engine and its schema: connect, migrate."""

from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from schemas.database import masked, parse_url
from schemas.errors import StackError
from schemas.monitor import Monitor
from scorer.alerts import require_file

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["connect", "database_of", "masked", "migrate"]

_LOG = structlog.get_logger(__name__)
_BUSY_SECONDS = 15
_MIGRATION_LOCK = 0x62656C6C
"""Advisory lock number: "bell" in ASCII, so that programs starting together migrate one after the other."""
_POSTGRES_OPTIONS = " ".join(
    f"-c {setting}"
    for setting in (
        "timezone=UTC",
        f"lock_timeout={_BUSY_SECONDS}s",
        # A stopped owner that sleeps inside its transaction would keep its successor waiting for the row lock.
        "idle_in_transaction_session_timeout=10s",
    )
)


def connect(url: str, *, must_exist: bool = False, ask_first: bool = True) -> Engine:
    """Open the database and prove that it answers. An SQLite file is made where there is none, unless it must exist.

    Every transaction on SQLite takes the write lock when it begins, unless its connection has the execution option
    ``reading=True``: a transaction that reads first and writes later could not wait for the lock.

    A pooled connection is asked whether it still lives before each use (`ask_first`): a round trip that those can
    spare who begin again when it does not.

    Raises:
        ConfigError: the URL is neither SQLite's nor PostgreSQL's.
        StackError: the database cannot be opened or reached, or must exist and does not.
    """
    parsed = parse_url(url)
    if must_exist:
        require_file(parsed)
    try:
        engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgres(parsed, ask_first=ask_first)
        with engine.connect().execution_options(reading=True) as connection:
            connection.execute(text("SELECT 1"))
    except (DBAPIError, OSError) as error:
        raise _unreachable(url, error) from error
    return engine


def database_of(monitor: Monitor) -> Engine:
    """The monitor's own, which must exist. Raises as `connect` does."""
    require_file(parse_url(monitor.database.url), "the monitor's database.url or DATABASE_URL")
    return connect(monitor.database.url)


def migrate(engine: Engine) -> None:
    """Bring the schema to this program's revision. Programs that start together take turns.

    Raises:
        StackError: the schema is of a newer program, or the database failed.
    """
    from alembic import command
    from alembic.util import CommandError

    url = engine.url.render_as_string(hide_password=True)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL lock_timeout = '120s'"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            command.upgrade(_alembic(connection), "head")
    except CommandError as error:
        raise StackError(f"database {url}: its schema is not this program's: {error}") from error
    except DBAPIError as error:
        raise _unreachable(url, error) from error
    _LOG.info("database migrated", url=url)


def _alembic(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _sqlite(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: SqliteConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _postgres(url: URL, *, ask_first: bool) -> Engine:
    arguments = {"connect_timeout": 10, "options": _POSTGRES_OPTIONS, "application_name": "bellwether"}
    return create_engine(
        url, connect_args=arguments, pool_pre_ping=ask_first, pool_size=4, max_overflow=4, hide_parameters=True
    )


def _unreachable(url: str, error: DBAPIError | OSError) -> StackError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    reason = str(cause).strip().partition("\n")[0]
    return StackError(f"database {masked(url)}: cannot be used: {reason}")
