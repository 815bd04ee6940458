"""`bellwether alerts`: list, show or watch what was raised."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from schemas.components import Severity

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

Command = Callable[..., None]
_COLUMNS = ("event_time", "severity", "phase", "monitor", "entity", "task", "kind", "score", "summary", "id")
_PIPE_WIDTH = 240
_STYLES = {"critical": "bold red", "warning": "yellow", "info": "cyan"}

_database = click.option("--database", help="URL. Default: DATABASE_URL, else the embedded database.", metavar="URL")
_json = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")
_severity = click.Choice([level.value for level in Severity])


def _filters(command: Command) -> Command:
    for option in (
        click.option("--since", help="From this event time on: ISO 8601, or an age such as 90s, 15m, 2h, 1d."),
        click.option("--severity", type=_severity, help="This bad or worse."),
        click.option("--entity", help="One entity's only."),
        click.option("--monitor", help="One monitor's only."),
    ):
        command = option(command)
    return command


@click.group()
def alerts() -> None:
    """List, show or watch alerts."""


@alerts.command("list")
@_filters
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many, newest first."
)
@_database
@_json
def list_(
    monitor: str | None,
    entity: str | None,
    severity: str | None,
    since: str | None,
    limit: int,
    database: str | None,
    *,
    as_json: bool,
) -> None:
    """Alerts as they stand now, newest first."""
    from scorer.alerts import alerts as query

    found = query(_time(since), None, entity, monitor, severity, None, limit, database)
    if as_json:
        click.echo(json.dumps(_records(found)))
    elif found.empty:
        click.echo("no alerts")
    else:
        _print_table(found)


@alerts.command()
@click.argument("alert_id", metavar="ID")
@_database
@_json
def show(alert_id: str, database: str | None, *, as_json: bool) -> None:
    """One alert: what was expected, what came, and every step of its life."""
    from scorer.alerts import alert, events

    found, steps = alert(alert_id, database), events(alert_id, database)
    record = _records(found.to_frame().T)[0]
    if as_json:
        click.echo(json.dumps(record | {"events": _records(steps)}))
    else:
        _print_alert(record, _records(steps))


@alerts.command()
@_filters
@_database
@_json
def watch(
    monitor: str | None,
    entity: str | None,
    severity: str | None,
    since: str | None,
    database: str | None,
    *,
    as_json: bool,
) -> None:
    """Alerts as they are raised, until interrupted. --json: one line each."""
    from scorer.alerts import watch as follow

    for fresh in follow(_time(since), entity, monitor, severity, database):
        for record in _records(fresh):
            click.echo(json.dumps(record) if as_json else _line(record))


def console() -> "Console":
    """The terminal; a pipe is given room for a whole row."""
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=_PIPE_WIDTH)


def _time(text: str | None) -> datetime | str | None:
    """An age is taken from now; anything else is left for the query to judge."""
    from schemas.duration import parse_duration

    if text is None or not re.fullmatch(r"\s*[\d.]+\s*[a-z]+\s*", text):
        return text
    age = parse_duration(text)
    return text if isinstance(age, str) else datetime.now(UTC) - age  # type: ignore[operator]


def _records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Rows as JSON has them: times in ISO 8601, absent ones null."""
    records: list[dict[str, Any]] = json.loads(
        frame.to_json(orient="records", date_format="iso", date_unit="ms", double_precision=15)
    )
    return records


def _line(record: dict[str, Any]) -> str:
    words = (record["event_time"], record["severity"].ljust(8), record["entity"], record["summary"], record["id"])
    return "  ".join(str(word) for word in words)


def _print_table(frame: "pd.DataFrame") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold")
    for name in _COLUMNS:
        table.add_column(name.replace("_", " "), no_wrap=name == "id", overflow="fold")
    for record in _records(frame):
        cells = [f"{record[name]:.2f}" if name == "score" else str(record[name]) for name in _COLUMNS]
        table.add_row(*(Text(cell) for cell in cells), style=_STYLES.get(record["severity"]))
    console().print(table)


def _print_alert(record: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    for name, value in record.items():
        if name != "reasons":
            click.echo(f"{name.replace('_', ' '):>14}  {'-' if value is None else value}")
    for title, rows in (("reasons", record["reasons"]), ("events", steps)):
        names = [name for name in (rows[0] if rows else ()) if name not in {"id", "alert_id"}]
        table = Table(*(name.replace("_", " ") for name in names), title=title, title_justify="left")
        for row in rows:
            table.add_row(*(Text(_cell(row[name])) for name in names))
        console().print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
