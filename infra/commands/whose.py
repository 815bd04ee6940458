"""Which monitor a command is about, by its name or by its file, and in which database: the file says that too."""

from collections.abc import Callable
from typing import Any

import click

FILES = (".yaml", ".yml", ".toml")
"""How names of monitors' files end."""
NAME_OR_FILE = "NAME|FILE"

_DATABASE = "bellwether.database"
"""Where a command's context keeps what a monitor's file says of the database and its directory."""
Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def heed(context: click.Context, _: click.Parameter, monitor: str | None) -> str | None:
    """An eager option's callback: keep what a file says of its database. Raises ConfigError where the file is wrong."""
    from infra.settings import load_monitor

    if monitor is not None and monitor.endswith(FILES):
        settings = load_monitor(monitor).database
        context.meta[_DATABASE] = {"database": settings.url, "directory": settings.directory}
    return monitor


def _else_of_file(context: click.Context, option: click.Parameter, given: str | None) -> str | None:
    return given or context.meta.get(_DATABASE, {}).get(option.name) or None


# Eager: the file is known before it is asked which database.
monitor_option: Option = click.option(
    "--monitor", help="One monitor's only.", metavar=NAME_OR_FILE, is_eager=True, callback=heed
)
which_monitor: Option = click.option(
    "--monitor",
    help="Needed where the database holds several monitors' versions.",
    metavar=NAME_OR_FILE,
    is_eager=True,
    callback=heed,
)
database_option: Option = click.option(
    "--database",
    help="URL. Default: DATABASE_URL, else that of the monitor's FILE where one is given, else the embedded database.",
    metavar="URL",
    callback=_else_of_file,
)
directory_option: Option = click.option(
    "--directory",
    help="Of the weights. Default: the monitor's FILE's, else beside the SQLite file, else .bellwether.",
    metavar="PATH",
    callback=_else_of_file,
)


def monitor_argument(name: str) -> Option:
    """The same as an argument, called so in the command."""
    return click.argument(name, required=False, metavar=f"[{NAME_OR_FILE}]", is_eager=True, callback=heed)


def named(monitor: str | None) -> str | None:
    """The name; None: all monitors. Raises ConfigError where it is the path of a file that is wrong."""
    from infra.settings import load_monitor

    return load_monitor(monitor).monitor if monitor is not None and monitor.endswith(FILES) else monitor


def known(database: str | None, monitor: str | None) -> str | None:
    """The name of one that the database has heard of; None: all monitors.

    Raises:
        ConfigError: as `named` does.
        InputError: it has not; those that it has are named.
    """
    from sqlalchemy import select, union

    from schemas.errors import InputError
    from schemas.statements import PARTITIONS
    from schemas.tables import LabelRow, ModelRow
    from scorer.alerts import reading

    name = named(monitor)
    if name is None:
        return None
    said = union(*(select(each) for each in (PARTITIONS.c.monitor, ModelRow.monitor, LabelRow.monitor)))
    with reading(database) as connection:
        found = connection.execute(said).scalars()
        names = sorted(each for each in found if "." not in each)  # <monitor>.trainer is not one by itself
    if name not in names:
        expected = f"one of {', '.join(names)}" if names else "a database that a monitor has run with"
        raise InputError(f"monitor {name}: unknown; expected {expected}")
    return name
