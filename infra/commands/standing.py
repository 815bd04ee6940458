"""`bellwether models promote | rollback`: another version serves, by a person's word."""

import getpass
from typing import TYPE_CHECKING

import click

from infra.commands.whose import database_option, directory_option, named, which_monitor

if TYPE_CHECKING:
    from infra.registry import SqlRegistry

_anyway = click.option(
    "--anyway", is_flag=True, help="Even one of another network, for a monitor's file that goes with it."
)


@click.command()
@click.argument("version", type=click.IntRange(min=1))
@click.option("--why", default="promoted by hand", help="Kept with the change.", metavar="TEXT")
@_anyway
@which_monitor
@database_option
@directory_option
def promote(
    version: int, why: str, monitor: str | None, database: str | None, directory: str | None, *, anyway: bool
) -> None:
    """Let VERSION serve: shards take it up within a second, and learning goes on from it."""
    registry = registry_for(database, monitor, directory)
    record = registry.promote(version, person(), why, anyway=anyway)
    click.echo(f"{registry.monitor}: v{record.version} serves")


@click.command()
@click.option(
    "--to",
    type=click.IntRange(min=1),
    help="Default: the pinned version that served last, of the same network.",
    metavar="VERSION",
)
@click.option("--why", required=True, help="Kept with the change.", metavar="TEXT")
@_anyway
@which_monitor
@database_option
@directory_option
def rollback(
    to: int | None, why: str, monitor: str | None, database: str | None, directory: str | None, *, anyway: bool
) -> None:
    """Let an earlier version serve again; learning goes on from it, what was learned since is let go."""
    registry = registry_for(database, monitor, directory)
    before = registry.serving()
    record = registry.rollback(to, person(), why, anyway=anyway)
    click.echo(f"{registry.monitor}: v{record.version} serves again, v{before.version if before else 0} is rolled back")


def registry_for(database: str | None, monitor: str | None, directory: str | None = None) -> "SqlRegistry":
    """The registry that a command speaks to. Raises InputError where it is not clear which, or of nobody known."""
    import os

    from infra.assembly import utc_now
    from infra.database import connect, migrate
    from infra.registry import SqlRegistry
    from schemas.components import DatabaseSettings

    url = database or os.environ.get("DATABASE_URL") or DatabaseSettings().url
    name = one_monitor(database, monitor)
    folder = DatabaseSettings(url=url, directory=directory or "").folder
    engine = connect(url, must_exist=True)
    migrate(engine)
    return SqlRegistry(engine, name, folder, utc_now)


def one_monitor(database: str | None, monitor: str | None) -> str:
    """The name of the monitor that is meant. Raises InputError where it is not clear which, or of nobody known."""
    from sqlalchemy import select

    from schemas.errors import InputError
    from schemas.tables import ModelRow
    from scorer.alerts import reading

    monitor = named(monitor)
    with reading(database) as connection:
        known = sorted(connection.execute(select(ModelRow.monitor).distinct()).scalars())
    if monitor is None and len(known) == 1:
        return known[0]
    if monitor not in known:
        expected = f"one of {', '.join(known)}" if known else "a database that holds model versions"
        raise InputError(f"--monitor: got {monitor or 'none'}; expected {expected}")
    return monitor


def person() -> str:
    """Who runs the command, as it is kept with a change."""
    return f"command:{getpass.getuser()}"
