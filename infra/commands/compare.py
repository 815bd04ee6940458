"""`bellwether models compare`: two versions side by side, before one is let serve."""

import json
from collections.abc import Mapping
from typing import Any

import click

from infra.commands.standing import one_monitor
from infra.commands.whose import database_option, which_monitor

_SHOWN = 10
"""Alerts of each kind of change that are named; a program gets all."""


@click.command()
@click.argument("first", metavar="A", type=click.IntRange(min=1))
@click.argument("second", metavar="B", type=click.IntRange(min=1))
@which_monitor
@database_option
@click.option("--json", "as_json", is_flag=True, help="A JSON object, for programs.")
def compare(first: int, second: int, monitor: str | None, database: str | None, *, as_json: bool) -> None:
    """Metrics of versions A and B, and where one was scored in the other's shadow, losses and alerts on the same rows.

    Differences are those of B to A: a loss below 0 is better. Bounds hold nine times in ten.
    """
    from infra.comparing import read_comparison
    from scorer.alerts import reading

    name = one_monitor(database, monitor)
    with reading(database) as connection:
        found = read_comparison(connection, name, first, second)
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo("\n".join(_lines(found)))


def _lines(found: Mapping[str, Any]) -> list[str]:
    first, second = found["versions"]
    lines = _metric_lines(*(found["metrics"][version] for version in (first, second)))
    shadow = found["shadow"]
    if shadow is None:
        return [*lines, f"v{first} and v{second} were never scored on the same rows: see training.shadow_rows"]
    outcome = f"{shadow['outcome']}: {shadow['why']}" if shadow["outcome"] else "not settled yet"
    return [
        *lines,
        f"on {shadow['rows']} rows (of {shadow['of']}) that both scored, {shadow['role']}: {outcome}",
        *_loss_lines(found["tasks"]),
        *(f"  {name:<24} {a:.3f} -> {b:.3f}" for name, (a, b) in found["calibration"].items()),
        *_alert_lines(found["alerts"]),
    ]


def _metric_lines(first: Mapping[str, float], second: Mapping[str, float]) -> list[str]:
    names = [*first, *(name for name in second if name not in first)]
    told = ((name, *(f"{each[name]:.4g}" if name in each else "-" for each in (first, second))) for name in names)
    return [f"  {name:<24} {a} -> {b}" for name, a, b in told]


def _loss_lines(tasks: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, each in tasks.items():
        (a, b), (lower, upper) = each["losses"], each["bounds"]
        difference = f"{each['difference']:+.4f} ({lower:+.4f} to {upper:+.4f})"
        lines.append(f"  {f'{name} loss':<24} {a:.4f} -> {b:.4f}  {difference}, {each['n']} answers")
    return lines


def _alert_lines(alerts: Mapping[str, Any]) -> list[str]:
    changes = ("added", "removed", "earlier", "later")
    lines = ["alerts: " + ", ".join([f"{alerts['same']} the same", *(f"{len(alerts[e])} {e}" for e in changes)])]
    for change in changes:
        for each in alerts[change][:_SHOWN]:
            by = f" by {each['by_seconds']:g}s" if "by_seconds" in each else ""
            lines.append(f"  {change}{by}: {each['entity']} {each['task']} {each['kind']} {each['started_at']}")
        if len(alerts[change]) > _SHOWN:
            lines.append(f"  ... and {len(alerts[change]) - _SHOWN} more {change}")
    return lines
