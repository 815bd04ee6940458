"""`bellwether run`: watch a monitor's topics until stopped."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from schemas.monitor import Monitor


@click.command()
@click.argument("monitor")
@click.option("--no-learn", is_flag=True, help="No trainer: the serving model stays as it is.")
@click.option("--shards", type=click.IntRange(min=1), help="Scorers; the partitions are spread over them.")
@click.option("--trainers", type=click.IntRange(min=1), help="Ranks that learn together, as many as find room.")
@click.option("--gpus-per-trainer", type=click.FloatRange(min=0), help="GPUs of each. Default: none.")
@click.option("--ray-address", help="A Ray cluster. Default: a local Ray that ends with this command.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    help="Stop so long after the command began, starting included. Default: Ctrl-C.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line a second, and a last one with the totals.")
@click.pass_context
def run(
    ctx: click.Context,
    monitor: str,
    shards: int | None,
    trainers: int | None,
    gpus_per_trainer: float | None,
    ray_address: str | None,
    seconds: float | None,
    *,
    no_learn: bool,
    as_json: bool,
) -> None:
    """Watch MONITOR (a shipped name or a file): score its topic, raise alerts, learn.

    An absent broker, and topics that MONITOR reads but nobody has made yet, are waited for, and that is said. The
    dead-letter topic is made where there is none, with as many partitions as the observations have.
    """
    from infra.settings import load_monitor
    from infra.watch import watch

    loaded = load_monitor(monitor)
    asked = {"shards": shards, "trainers": trainers, "gpus_per_trainer": gpus_per_trainer, "address": ray_address}
    changes = {name: value for name, value in asked.items() if value is not None}
    loaded = loaded.model_copy(update={"ray": loaded.ray.model_copy(update=changes)})
    _introduce(loaded, monitor, to_stderr=as_json)
    verbose = bool(ctx.find_root().params.get("verbose"))
    watch([loaded], learn=not no_learn, seconds=seconds, as_json=as_json, verbose=verbose)


def _introduce(loaded: "Monitor", name: str, *, to_stderr: bool) -> None:
    """Where observations come from, where alerts go, and what to type in another terminal to see them."""
    from infra.typed import typed
    from schemas.database import masked

    database, kafka = masked(loaded.database.url), loaded.kafka.bootstrap_servers
    lines = [
        f"{loaded.monitor}: reads {loaded.topics.observations} at {kafka}, writes alerts to {database}",
        f"  what was raised: {typed('alerts', 'list', '--monitor', loaded.monitor, *_database(loaded.database.url))}",
        f"  what was refused: {typed('deadletters', 'list', name)}",
    ]
    click.echo("\n".join(lines), err=to_stderr)


def _database(url: str) -> tuple[str, ...]:
    """The option that finds the database: none where the environment or the default does, no password ever."""
    import os

    from schemas.components import DatabaseSettings
    from schemas.database import masked

    if os.environ.get("DATABASE_URL") or url == DatabaseSettings().url:
        return ()
    return ("--database", url if masked(url) == url else "URL")
