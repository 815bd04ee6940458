"""`bellwether demo`: everything on this machine, on real data."""

from pathlib import Path

import click

MONITORS = ("health", "finance")


@click.command()
@click.option(
    "--monitor",
    "monitors",
    multiple=True,
    type=click.Choice(MONITORS),
    default=MONITORS,
    show_default=True,
    help="Which of them (repeat for several).",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    help="Stop so long after Kafka and Ray are up. Default: at the data's end.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".bellwether/demo"),
    show_default=True,
    help="Database, topics and models; emptied first when an earlier demo made it.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line with the totals at the end.")
@click.pass_context
def demo(
    ctx: click.Context, monitors: tuple[str, ...], seconds: float | None, directory: Path, *, as_json: bool
) -> None:
    """Start Kafka, Ray and SQLite, stream data into topics, watch it, and print the newest alerts."""
    from infra.demo import demo as run_demo

    run_demo(monitors, directory, seconds, as_json=as_json, verbose=bool(ctx.find_root().params.get("verbose")))
