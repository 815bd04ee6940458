"""`bellwether run`: watch a monitor's topics until stopped."""

import click


@click.command()
@click.argument("monitor")
@click.option("--no-learn", is_flag=True, help="No trainer: the serving model stays as it is.")
@click.option("--shards", type=click.IntRange(min=1), help="Scorers; the partitions are spread over them.")
@click.option("--ray-address", help="A Ray cluster. Default: a local Ray that ends with this command.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after this long. Default: Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a second, and a last one with the totals.")
@click.pass_context
def run(
    ctx: click.Context,
    monitor: str,
    shards: int | None,
    ray_address: str | None,
    seconds: float | None,
    *,
    no_learn: bool,
    as_json: bool,
) -> None:
    """Watch MONITOR (a shipped name or a file): score its topic, raise alerts, learn."""
    from infra.settings import load_monitor
    from infra.watch import watch

    loaded = load_monitor(monitor)
    changes = {name: value for name, value in (("shards", shards), ("address", ray_address)) if value is not None}
    loaded = loaded.model_copy(update={"ray": loaded.ray.model_copy(update=changes)})
    verbose = bool(ctx.find_root().params.get("verbose"))
    watch([loaded], learn=not no_learn, seconds=seconds, as_json=as_json, verbose=verbose)
