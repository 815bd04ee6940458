"""`bellwether labels`: who told labels or judged alerts, how far each can be believed, and who is not heard."""

import json
from collections.abc import Callable
from typing import Any

import click

from infra.commands.whose import database_option, known, monitor_option

Command = Callable[..., None]
_json = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


def _decision(command: Command) -> Command:
    for option in (
        click.argument("source"),
        click.option("--by", "author", required=True, help="Who decides."),
        click.option("--why", help="In words, for people."),
        monitor_option,
        database_option,
        _json,
    ):
        command = option(command)
    return command


@click.group()
def labels() -> None:
    """List sources of labels and verdicts, exclude one or include it again."""


@labels.command("list")
@monitor_option
@database_option
@_json
def list_(monitor: str | None, database: str | None, *, as_json: bool) -> None:
    """Every source: verdicts, labels and what became of them, its reliability, and whether it is excluded."""
    from infra.labels.sources import read_sources

    found = read_sources(database, known(database, monitor))
    if as_json:
        click.echo(json.dumps(found))
    elif not found:
        click.echo("no labels and no verdicts")
    else:
        _print(found)


@labels.command()
@_decision
def exclude(
    source: str, author: str, why: str | None, monitor: str | None, database: str | None, *, as_json: bool
) -> None:
    """Learn nothing more from SOURCE, not even what it told before, nor from its verdicts: heeded within seconds."""
    _decide(source, True, author, why, monitor, database, as_json=as_json)


@labels.command()
@_decision
def include(
    source: str, author: str, why: str | None, monitor: str | None, database: str | None, *, as_json: bool
) -> None:
    """Learn from SOURCE again, from now on."""
    _decide(source, False, author, why, monitor, database, as_json=as_json)


def _decide(
    source: str,
    excluded: bool,
    author: str,
    why: str | None,
    monitor: str | None,
    database: str | None,
    *,
    as_json: bool,
) -> None:
    from infra.labels.sources import decide

    one = known(database, monitor)
    whose = decide(source, excluded=excluded, author=author, why=why, database=database, monitor=one)
    if as_json:
        click.echo(json.dumps({"monitor": whose, "source": source, "excluded": excluded, "author": author}))
    else:
        click.echo(f"{whose}: {source or 'labels without a source'} {'excluded' if excluded else 'included'}")


def _print(found: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from infra.terminal import console

    table = Table(*found[0], header_style="bold")
    for each in found:
        table.add_row(*(Text(_cell(value)) for value in each.values()), style="dim" if each["excluded"] else None)
    console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in {None, ""} else str(value)
