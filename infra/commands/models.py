"""`bellwether models`: the versions of a monitor's network, how alike its tasks are, and what learning did on its way."""

import json
from collections.abc import Mapping

import click

from infra.commands.compress import compress
from infra.commands.export import export
from infra.commands.replay import replay


@click.group()
def models() -> None:
    """List model versions and how alike their tasks are; make one smaller, a program of it, or make it anew."""


models.add_command(compress)
models.add_command(export)
models.add_command(replay)


@models.command("list")
@click.option("--monitor", help="One monitor's only.")
@click.option("--database", help="URL. Default: DATABASE_URL, else the embedded database.", metavar="URL")
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def list_(monitor: str | None, database: str | None, *, as_json: bool) -> None:
    """Every published version, newest first, with the metrics it was published on."""
    rows = _select(database, monitor)
    if as_json:
        click.echo(json.dumps(rows))
    elif not rows:
        click.echo("no model versions")
    else:
        _print(rows)


@models.command()
@click.option("--monitor", help="One monitor's only.")
@click.option("--database", help="URL. Default: DATABASE_URL, else the embedded database.", metavar="URL")
@click.option("--json", "as_json", is_flag=True, help="A JSON object, for programs.")
def similarity(monitor: str | None, database: str | None, *, as_json: bool) -> None:
    """Running cosines of the tasks' gradients, as last recorded: below 0 two tasks pull in different directions."""
    from infra.similarity import print_similarity, read_similarity

    found = read_similarity(database, monitor)
    if as_json:
        click.echo(json.dumps(found))
    elif not found:
        click.echo(
            "no similarity recorded: it is measured while a network learns, every training.similarity_every steps"
        )
    else:
        print_similarity(found)


@models.command()
@click.option("--monitor", help="One monitor's only.")
@click.option("--database", help="URL. Default: DATABASE_URL, else the embedded database.", metavar="URL")
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def actions(monitor: str | None, database: str | None, *, as_json: bool) -> None:
    """What the learner did about drift and harm, newest first: alarms, and what followed them."""
    rows = _actions(database, monitor)
    if as_json:
        click.echo(json.dumps(rows))
    elif not rows:
        click.echo("no actions: nothing drifted, or nothing was learned")
    else:
        _print(rows)


def _actions(database: str | None, monitor: str | None) -> list[dict[str, object]]:
    from sqlalchemy import select

    from schemas.tables import LearningActionRow as Row
    from scorer.alerts import reading

    query = select(Row.monitor, Row.version, Row.step, Row.events, Row.task, Row.kind, Row.why, Row.recorded_at)
    if monitor is not None:
        query = query.where(Row.monitor == monitor)
    with reading(database) as connection:
        rows = connection.execute(query.order_by(Row.id.desc())).mappings().all()
    return [{**row, "recorded_at": row["recorded_at"].isoformat(timespec="milliseconds")} for row in rows]


def _select(database: str | None, monitor: str | None) -> list[dict[str, object]]:
    from sqlalchemy import select

    from schemas.tables import ModelRow
    from scorer.alerts import reading

    columns = (ModelRow.monitor, ModelRow.version, ModelRow.parent, ModelRow.status, ModelRow.created_at)
    query = select(*columns, ModelRow.metrics, ModelRow.digest, ModelRow.file)
    if monitor is not None:
        query = query.where(ModelRow.monitor == monitor)
    with reading(database) as connection:
        rows = connection.execute(query.order_by(ModelRow.monitor, ModelRow.version.desc())).mappings().all()
    return [
        {**row, "private": _private(row["metrics"]), "created_at": row["created_at"].isoformat(timespec="milliseconds")}
        for row in rows
    ]


def _private(metrics: Mapping[str, float]) -> list[str]:
    """Tasks that the version serves by their private paths."""
    return [name.removesuffix(".detached") for name in metrics if name.endswith(".detached")]


def _print(rows: list[dict[str, object]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from infra.terminal import console

    table = Table(*rows[0], header_style="bold")
    for row in rows:
        table.add_row(
            *(Text(_cell(value)) for value in row.values()), style="bold" if row.get("status") == "serving" else None
        )
    console().print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:.4g}" for name, number in value.items())
    return str(value)
