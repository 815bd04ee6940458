"""Where the database is: one reading of its URL, and how to show it without a password."""

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from schemas.errors import ConfigError

_EXPECTED = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME"


def parse_url(url: str) -> URL:
    """Read a database URL; PostgreSQL is always spoken through psycopg 3. Raises ConfigError for anything else."""
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise ConfigError("database", "url", masked(url), _EXPECTED) from error
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return parsed.set(drivername="sqlite")
    raise ConfigError("database", "url", masked(url), _EXPECTED)


def masked(url: str) -> str:
    """The URL without its password, fit for logs and messages."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "***"
    return parsed.difference_update_query(["password"]).render_as_string(hide_password=True)
