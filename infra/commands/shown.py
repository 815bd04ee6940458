"""How alerts, their steps and their budgets are shown to people, and to programs as JSON."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from schemas.alert import JUDGED, Change

if TYPE_CHECKING:
    from rich.console import Console

_NARROW = ("event_time", "severity", "phase", "monitor", "entity", "task", "kind", "score", "summary", "id")
_WHOLE = ("started_at", "peak_at", "ended_at", "raised_by", *_NARROW[1:])
_WIDE = 200
"""Columns of a terminal on which the whole fits; a narrow one is not told who raised an alert, and when it began."""
_STYLES = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
_HEADINGS = {"age_seconds": "age", "started_at": "onset", "peak_at": "peak", "ended_at": "end"}
Record = dict[str, Any]


def shown(records: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Records as JSON has them: times in ISO 8601, no NaN."""
    return [{name: _plain(value) for name, value in record.items()} for record in records]


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return None if isinstance(value, float) and not math.isfinite(value) else value


def line(record: Record) -> str:
    """Of an alert, as `watch` prints it."""
    from schemas.alert import raised_by

    maker = raised_by(record["rung"], record["model_version"])
    words = (record["event_time"], record["severity"].ljust(8), maker, record["entity"], record["summary"])
    return "  ".join([*words, record["id"]])


def all_clear(record: Record, steps: Sequence[Record], feed: Sequence[Record]) -> Record:
    """Why a firing alert does not end: what fails of the signals that it names, else of the entity's; or nothing."""
    last = [step["change"] for step in steps if step["change"] not in JUDGED][-1:]
    failing = [each for each in feed if each["phase"] == "firing"]
    named = {reason["signal"] for reason in record["reasons"]}
    doubtful = [each for each in failing if named & {reason["signal"] for reason in each["reasons"]}] or failing
    why = "; ".join(each["summary"] for each in doubtful)
    return {"all_clear": f"withheld: {why}"} if why and last == [Change.WITHHELD] else {}


def print_table(terminal: "Console", records: list[Record]) -> None:
    """Alerts, on a terminal."""
    from rich.table import Table
    from rich.text import Text

    names = _WHOLE if terminal.width >= _WIDE else _NARROW
    table = Table(header_style="bold")
    for name in names:
        table.add_column(_heading(name), no_wrap=name == "id", overflow="fold")
    for record in records:
        table.add_row(*map(Text, _cells(record, names)), style=_STYLES.get(record["severity"]))
    terminal.print(table)


def print_lines(records: list[Record]) -> None:
    """Alerts, in a pipe: headings, then a line each."""
    for cells in (map(_heading, _WHOLE), *(_cells(record, _WHOLE) for record in records)):
        click.echo("  ".join(cells))


def _heading(name: str) -> str:
    return _HEADINGS.get(name, name.replace("_", " "))


def _cells(record: Record, names: Sequence[str]) -> list[str]:
    """Times to the second, in UTC."""
    from schemas.alert import raised_by

    told = {
        "score": f"{record['score']:.2f}",
        "raised_by": raised_by(record["rung"], record["model_version"]),
        **{name: f"{value:%Y-%m-%d %H:%M:%S}" for name, value in record.items() if isinstance(value, datetime)},
    }
    return [told.get(name) or _cell(name, record[name]) for name in names]


def print_budgets(records: list[Record]) -> None:
    """What became of budgets, and which of them nothing can keep."""
    from rich.table import Table
    from rich.text import Text

    from infra.terminal import console

    names = [name for name in records[0] if name != "out_of_reach"]
    table = Table(*names)
    for record in records:
        table.add_row(*(Text(_cell(name, record[name])) for name in names))
    console().print(table)
    for record in records:
        if record["out_of_reach"]:
            whose = f"{record['monitor']}: {record['budget']}: {record['always']} of {record['alarms']} alarms"
            click.echo(f"{whose}, more than asked for, are always told: of rules (alerts.always) and of failed feeds")


def print_alert(record: Record, tables: dict[str, list[Record]]) -> None:
    """One alert, and what belongs to it by title."""
    from rich.table import Table
    from rich.text import Text

    from infra.terminal import console

    for name, value in record.items():
        if name not in {"reasons", "explanation"}:
            click.echo(f"{name.replace('_', ' '):>14}  {'-' if value is None else value}")
    for title, rows in tables.items():
        if title in {"verdicts", "feed"} and not rows:
            continue
        names = [name for name in (rows[0] if rows else ()) if _says_something(name, rows)]
        table = Table(*map(_heading, names), title=title, title_justify="left")
        for row in rows:
            table.add_row(*(Text(_cell(name, row.get(name))) for name in names))
        console().print(table)
    if record["explanation"] is not None:
        from infra.explained import print_attention

        print_attention(record["explanation"])


def _says_something(name: str, rows: list[Record]) -> bool:
    return name not in {"id", "alert_id"} and any(row.get(name) is not None for row in rows)


def _cell(name: str, value: object) -> str:
    from schemas.duration import short_form

    if isinstance(value, int | float) and name == "age_seconds":
        return short_form(value)
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
