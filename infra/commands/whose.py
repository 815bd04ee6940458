"""Which monitor a command is about: by its name, or by its file, which holds the name."""

from collections.abc import Callable
from typing import Any

import click

FILES = (".yaml", ".yml", ".toml")
"""How names of monitors' files end."""
NAME_OR_FILE = "NAME|FILE"

monitor_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--monitor", help="One monitor's only.", metavar=NAME_OR_FILE
)
which_monitor: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--monitor", help="Needed where the database holds several monitors' versions.", metavar=NAME_OR_FILE
)


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
