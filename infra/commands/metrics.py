"""`bellwether models metrics`: how well each task did over time, while it was learned."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from infra.commands.standing import one_monitor
from infra.commands.whose import database_option, which_monitor


@click.command()
@click.option("--spans", default=6, show_default=True, type=click.IntRange(min=1, max=1000), help="Means over time.")
@click.option("--tensorboard", type=click.Path(path_type=Path), help="Write all values there too.", metavar="PATH")
@which_monitor
@database_option
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def metrics(spans: int, tensorboard: Path | None, monitor: str | None, database: str | None, *, as_json: bool) -> None:
    """Each task's metrics in equal spans of learning, oldest first: every row was judged before it was learned.

    Of the whole network `lag`, records of the topic that trainers had not read yet, and `staleness`, seconds of event
    time from the newest row that the serving version had learned from to the newest that trainers had read.
    """
    from infra.explained import table
    from infra.prequential import read_courses, write_tensorboard
    from scorer.alerts import reading

    name = one_monitor(database, monitor)
    with reading(database) as connection:
        courses = read_courses(connection, name, spans)
        if tensorboard is not None:
            write_tensorboard(connection, name, tensorboard)
            click.echo(f"tensorboard --logdir {tensorboard}", err=True)
    if as_json:
        click.echo(json.dumps([asdict(course) for course in courses]))
    else:
        rows = [(each.task, each.metric, *map(_cell, each.means)) for each in courses]
        table(name, ("task", "metric", *(f"{at + 1}/{spans}" for at in range(spans))), rows)


def _cell(mean: float | None) -> str:
    return "-" if mean is None else f"{mean:.4g}"
