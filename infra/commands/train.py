"""`bellwether train`: fit on history."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("monitor")
@click.option("--input", "files", multiple=True, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--passes", type=click.IntRange(min=1), default=1, show_default=True, help="Times through the files.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def train(monitor: str, files: tuple[Path, ...], passes: int, seed: int, *, as_json: bool) -> None:
    """Fit MONITOR's network on wide CSV or Parquet FILES; publish it if it beats the version that serves."""
    from infra.training import train as run_training

    done = run_training(monitor, files, passes, seed)
    version = None if done.published is None else done.published.version
    if as_json:
        click.echo(json.dumps({"rows": done.rows, "steps": done.steps, "losses": done.losses, "published": version}))
        return
    losses = ", ".join(f"{task} {loss:.3f}" for task, loss in done.losses.items()) or "none: too few rows for a step"
    click.echo(f"{done.rows:,} rows, {done.steps} steps; last losses: {losses}")
    click.echo(
        "published nothing: no candidate beat the serving version" if version is None else f"published v{version}"
    )
