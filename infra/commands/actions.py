"""`bellwether models actions`: what the learner did about drift and harm."""

import json

import click


@click.command()
@click.argument("monitor", required=False)
@click.option("--database", help="URL. Default: DATABASE_URL, else the embedded database.", metavar="URL")
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def actions(monitor: str | None, database: str | None, *, as_json: bool) -> None:
    """What was done about drift and harm, newest first: alarms, and what followed them. MONITOR: one monitor's only."""
    from infra.explained import table

    rows = _select(database, monitor)
    if as_json:
        click.echo(json.dumps(rows))
    elif not rows:
        click.echo("no actions: nothing drifted, or nothing was learned")
    else:
        table("actions", list(rows[0]), [[str(value) for value in row.values()] for row in rows])


def _select(database: str | None, monitor: str | None) -> list[dict[str, object]]:
    from sqlalchemy import select

    from schemas.tables import LearningActionRow as Row
    from scorer.alerts import reading

    query = select(Row.monitor, Row.version, Row.step, Row.events, Row.task, Row.kind, Row.why, Row.recorded_at)
    if monitor is not None:
        query = query.where(Row.monitor == monitor)
    with reading(database) as connection:
        rows = connection.execute(query.order_by(Row.id.desc())).mappings().all()
    return [{**row, "recorded_at": row["recorded_at"].isoformat(timespec="milliseconds")} for row in rows]
