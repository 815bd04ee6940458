"""`bellwether models compare`: two versions side by side, before one is let serve."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from infra.commands.standing import one_monitor
from infra.commands.whose import database_option, which_monitor

if TYPE_CHECKING:
    from infra.comparing import SideBySide

_SHOWN = 10
"""Alerts of each kind of change that are named; a program gets all."""


@click.command()
@click.argument("first", metavar="A", type=click.IntRange(min=1))
@click.argument("second", metavar="B", type=click.IntRange(min=1))
@which_monitor
@database_option
@click.option(
    "--rescore", is_flag=True, help="Score the topic of --monitor again by both, whatever shadows there were."
)
@click.option("--from-snapshot", is_flag=True, help="Of it only what came since the oldest snapshots.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object, for programs.")
def compare(
    first: int,
    second: int,
    monitor: str | None,
    database: str | None,
    *,
    rescore: bool,
    from_snapshot: bool,
    as_json: bool,
) -> None:
    """Metrics of versions A and B, and of rows that both scored the losses and alerts of either.

    These are rows that one scored in the other's shadow, or with --rescore all that shards have scored: A as if it had
    served throughout, B in its shadow. Nothing is written then, nobody is alerted.

    Differences are those of B to A: a loss below 0 is better. Bounds hold nine times in ten.
    """
    from infra.comparing import read_comparison
    from scorer.alerts import reading

    if from_snapshot and not rescore:
        raise click.UsageError("--from-snapshot: expected --rescore beside it")
    if rescore and monitor is None:
        raise click.UsageError("--rescore: expected --monitor FILE, which says where the topic is")
    name = one_monitor(database, monitor)
    again = _both(str(monitor), database, first, second, from_snapshot=from_snapshot) if rescore else None
    with reading(database) as connection:
        found = read_comparison(connection, name, first, second, again)
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo("\n".join(_lines(found)))


def _both(monitor: str, database: str | None, first: int, second: int, *, from_snapshot: bool) -> "SideBySide":
    from infra.rescoring.versions import score_both
    from infra.settings import load_monitor

    loaded = load_monitor(monitor)
    if database is not None:
        loaded = loaded.model_copy(update={"database": loaded.database.model_copy(update={"url": database})})
    return score_both(loaded, first, second, from_snapshot=from_snapshot)


def _lines(found: Mapping[str, Any]) -> list[str]:
    first, second = found["versions"]
    lines = _metric_lines(*(found["metrics"][version] for version in (first, second)))
    shadow = found["shadow"]
    if shadow is None:
        return [
            *lines,
            f"v{first} and v{second} were never scored on the same rows: --rescore, or training.shadow_rows, does",
        ]
    return [
        *lines,
        f"on {shadow['rows']} rows (of {shadow['of']}) that both scored, {shadow['role']}{_outcome(shadow)}",
        *_loss_lines(found["tasks"]),
        *(f"  {name:<24} {a:.3f} -> {b:.3f}" for name, (a, b) in found["calibration"].items()),
        *_alert_lines(found["alerts"]),
    ]


def _outcome(shadow: Mapping[str, Any]) -> str:
    from infra.comparing import AGAIN

    if shadow["role"] == AGAIN:
        return ""
    return f": {shadow['outcome']}: {shadow['why']}" if shadow["outcome"] else ": not settled yet"


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
