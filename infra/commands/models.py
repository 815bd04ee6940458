"""`bellwether models`: the versions of a monitor's network, and how alike its tasks are."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from infra.commands.actions import actions
from infra.commands.compare import compare
from infra.commands.compress import compress
from infra.commands.export import export
from infra.commands.metrics import metrics
from infra.commands.relearn import relearn
from infra.commands.replay import replay
from infra.commands.standing import promote, rollback
from infra.commands.whose import database_option, known, monitor_argument, monitor_option
from schemas.duration import short_form

_HEADINGS = (
    "monitor",
    "version",
    "parent",
    "status",
    "why, who",
    "created",
    "metrics",
    "private",
    "gate",
    "stale\n(event time)",
    "taken up",
)
_AGES = ("gate", "record_staleness", "staleness", "taken_up")
_DETACHED = ".detached"
_SHOWN = 50
"""Versions of a monitor that people are shown."""
_PLACE = "place"


@click.group()
def models() -> None:
    """List model versions and how alike their tasks are; say which one serves; make one smaller, a program, or anew."""


for each in (actions, compare, compress, export, metrics, promote, relearn, replay, rollback):
    models.add_command(each)


@models.command("list")
@monitor_argument("name")
@monitor_option
@database_option
@click.option("--limit", type=click.IntRange(min=1), help=f"So many newest ones. Default: {_SHOWN}, as JSON all.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def list_(name: str | None, monitor: str | None, database: str | None, *, limit: int | None, as_json: bool) -> None:
    """Every published version, newest first, where it stands and why, with the metrics it was published on.

    NAME or FILE: one monitor's only, as with --monitor.

    `gate_seconds` is how long the candidate took to prove itself since the one before was published or let serve
    (`gate_windows` of its metrics: on how many windows); `staleness_seconds` is how old the newest row that it had
    learned was, in event time, when the first shard scored with it, `record_staleness_seconds` the same by when records
    were written (`written_until`); `taken_up_seconds` how long that shard took to take it up once it was let serve.

    The version that serves says besides since when (`serving_since`), and where its monitor's `trainers` stood when
    they last wrote it down (`heard_at`): how many records behind the end of the topic `then`, and how many `now`, with
    what shards have scored since, however many of those trainers have read meanwhile. Below the table these are a line
    a monitor. Times are UTC; - is not known.
    """
    if name is not None and monitor is not None:
        raise click.UsageError("got a monitor and --monitor; expected one of them")
    rows = _select(database, known(database, name or monitor), limit or (None if as_json else _SHOWN))
    if as_json:
        click.echo(json.dumps(rows, default=_json))
    elif not rows:
        click.echo("no model versions")
    else:
        _print(rows)
        for row in rows:
            if "trainers" in row:
                click.echo(_now(row))


@models.command()
@click.argument("model", required=False, metavar="[VERSION|FILE]")
@monitor_option
@database_option
@click.option("--json", "as_json", is_flag=True, help="A JSON object, for programs.")
def similarity(model: str | None, monitor: str | None, database: str | None, *, as_json: bool) -> None:
    """Running cosines of the tasks' gradients, as last recorded: below 0 two tasks pull in different directions.

    VERSION: as the fit that made it recorded them, or trainers that learned against it. FILE: as the fit did.
    """
    from infra.similarity import print_similarity, read_similarity, similarity_of

    if model is None or model.isdecimal():
        found = read_similarity(database, known(database, monitor), None if model is None else int(model))
    elif monitor is not None:
        raise click.UsageError("got a file and --monitor; expected one of them")
    else:
        matrix = similarity_of(model)
        found = {model: matrix} if matrix else {}
    if as_json:
        click.echo(json.dumps(found))
    elif not found:
        click.echo(_no_similarity(model))
    else:
        print_similarity(found)


def _no_similarity(model: str | None) -> str:
    """Where it was looked for."""
    measured = "it is measured every training.similarity_every steps"
    if model is None:
        return f"no similarity recorded: {measured} while a network learns, on the stream or by `bellwether train`"
    if model.isdecimal():
        return f"no similarity recorded of version {model}, by the fit that made it or by trainers since: {measured}"
    return f"{model}: no similarity in it: {measured}, and only `bellwether train` writes it into a file"


def _select(database: str | None, monitor: str | None, limit: int | None) -> list[dict[str, object]]:
    """Newest first; of each monitor so many at most, and what serves."""
    from sqlalchemy import func, or_, select

    from infra.behind import behind_of
    from infra.standings import Standing, lives
    from schemas.tables import ModelRow
    from scorer.alerts import reading

    columns = (ModelRow.monitor, ModelRow.version, ModelRow.parent, ModelRow.status, ModelRow.created_at)
    place = func.row_number().over(partition_by=ModelRow.monitor, order_by=ModelRow.version.desc()).label(_PLACE)
    all_ = select(*columns, ModelRow.metrics, ModelRow.digest, ModelRow.file, place)
    c = (all_ if monitor is None else all_.where(ModelRow.monitor == monitor)).subquery().c
    query = select(*(column for column in c if column.name != _PLACE)).order_by(c.monitor, c.version.desc())
    if limit is not None:
        query = query.where(or_(c[_PLACE] <= limit, c.status == Standing.SERVING.value))
    found: list[dict[str, object]] = []
    with reading(database) as connection:
        told = lives(connection)
        for row in connection.execute(query).mappings().all():
            life = told.get((row["monitor"], row["version"]), {})
            since = life.pop("serving_since", None)
            said = {**row, "private": _private(row["metrics"])} | life
            if row["status"] == Standing.SERVING:
                behind = behind_of(connection, row["monitor"])
                said |= {"serving_since": since, "trainers": behind and asdict(behind)}
            found.append(said)
    return found


def _json(value: object) -> str:
    """Times, of which JSON knows nothing."""
    assert isinstance(value, datetime)
    return value.isoformat(timespec="milliseconds")


def _private(metrics: Mapping[str, float]) -> list[str]:
    """Tasks that the version serves by their private paths."""
    return [name.removesuffix(_DETACHED) for name in metrics if name.endswith(_DETACHED)]


def _print(rows: list[dict[str, Any]]) -> None:
    """What fits a terminal: of each task the first metric; files and digests are in the JSON."""
    from rich.table import Table
    from rich.text import Text

    from infra.terminal import console

    table = Table(*_HEADINGS, header_style="bold")
    for row in rows:
        gate, stale, event, taken_up = (_age(row.get(f"{name}_seconds")) for name in _AGES)
        cells = map(Text, (*_cells(row), gate, stale if event == "-" else f"{stale}\n({event})", taken_up))
        table.add_row(*cells, style=None if row["status"] != "serving" else "bold")
    console().print(table)


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    yield from (row["monitor"], str(row["version"]), str(row["parent"] or "-"), row["status"])
    yield ", ".join(filter(None, (row.get("why"), row.get("who")))) or "-"
    yield f"{row['created_at']:%Y-%m-%d %H:%M}"
    firsts: dict[str, str] = {}
    for name, value in row["metrics"].items():
        if not name.endswith(_DETACHED):
            firsts.setdefault(name.partition(".")[0], f"{name} {value:.3g}")
    yield "\n".join(firsts.values()) or "-"
    yield ", ".join(row["private"]) or "-"


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else short_form(seconds)


def _now(row: Mapping[str, Any]) -> str:
    """What serves and since when, and how far the trainers are behind."""
    told, trainers = row["trainers"], "-"
    if told is not None:
        trainers = f"at {_moment(told['heard_at'])}: {told['then']:,} records behind"
        trainers += f", {told['now']:,} with what shards have scored since"
    return (
        f"{row['monitor']}: v{row['version']} serves since {_moment(row['serving_since'])},"
        f" its newest record written {_moment(row.get('written_until'))}; trainers {trainers}"
    )


def _moment(at: datetime | None) -> str:
    """A time to the second, and how long ago it is."""
    if at is None:
        return "-"
    return f"{at:%Y-%m-%d %H:%M:%S} ({_age(max((datetime.now(UTC) - at).total_seconds(), 0.0))} ago)"
