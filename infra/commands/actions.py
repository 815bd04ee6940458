"""`bellwether models actions`: what the learner did about drift and harm, and what it refused to learn."""

import json
from typing import Any

import click

from infra.commands.whose import database_option, known, monitor_argument


@click.command()
@monitor_argument("monitor")
@database_option
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def actions(monitor: str | None, database: str | None, *, as_json: bool) -> None:
    """What was done about drift and harm, newest first: alarms, what followed them, batches that were quarantined.

    NAME or FILE: one monitor's only. The offsets of a batch are in the JSON.
    """
    from infra.explained import table

    rows = _select(database, known(database, monitor))
    if as_json:
        click.echo(json.dumps(rows))
    elif not rows:
        click.echo("no actions: nothing drifted, or nothing was learned")
    else:
        shown = [{name: value for name, value in row.items() if name != "offsets"} for row in rows]
        table(
            "actions", list(shown[0]), [["-" if each is None else str(each) for each in row.values()] for row in shown]
        )


def _select(database: str | None, monitor: str | None) -> list[dict[str, object]]:
    from sqlalchemy import select

    from schemas.tables import LearningActionRow, QuarantineRow
    from scorer.alerts import reading

    found: list[dict[str, object]] = []
    with reading(database) as connection:
        for model in (LearningActionRow, QuarantineRow):
            query = select(model.__table__).order_by(model.id.desc())
            if monitor is not None:
                query = query.where(model.monitor == monitor)
            found += [_described(dict(row)) for row in connection.execute(query).mappings()]
    return sorted(found, key=lambda row: str(row["recorded_at"]), reverse=True)


def _described(row: dict[str, Any]) -> dict[str, object]:
    """A refused batch stands in the words of an action."""
    return {
        "monitor": row["monitor"],
        "version": row.get("version"),
        "step": row.get("step"),
        "events": row.get("events"),
        "task": row.get("task"),
        "kind": row.get("kind", "quarantine"),
        "why": row.get("why", row.get("reason")),
        "offsets": row.get("offsets"),
        "recorded_at": row["recorded_at"].isoformat(timespec="milliseconds"),
    }
