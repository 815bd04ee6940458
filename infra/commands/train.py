"""`bellwether train`: fit on history."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.commands.history import fitted

if TYPE_CHECKING:
    from infra.training import Trained


@click.command()
@fitted
@click.option(
    "--pretrain", type=click.IntRange(min=0), help="Epochs before, without labels. Default: fitting.pretrain."
)
@click.option("--model", help="Where to start: fresh, a version, or a file. Default: the version that serves.")
@click.option("--transfer", is_flag=True, help="The start may answer other tasks, or read other signals.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the weights; publish nothing.")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="0: this process, no Ray.")
@click.option("--gpus-per-worker", type=click.FloatRange(min=0), default=0, show_default=True)
@click.option("--ray-address", default="", help="Of a cluster. Default: a local Ray, where workers are asked for.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def train(*, as_json: bool, **asked: Any) -> None:
    """Fit MONITOR's network on wide CSV or Parquet FILES; publish it if it beats the version that serves."""
    from infra.fitting.options import FitOptions
    from infra.fitting.progress import epochs_shown
    from infra.training import train as run_training

    options = FitOptions(**asked)
    with epochs_shown(quiet=as_json) as on_epoch:
        done = run_training(options, on_epoch)
    if as_json:
        click.echo(json.dumps(_plain(done)))
    else:
        _show(done, options.output)


def _plain(done: "Trained") -> dict[str, Any]:
    return {
        "rows": done.rows,
        "epochs": done.epochs,
        "most": done.most,
        "best": dict(done.best),
        "losses": dict(done.losses),
        "metrics": dict(done.metrics),
        "sharing": dict(done.sharing),
        "transferred": dict(done.transferred),
        "others": dict(done.others),
        "directory": str(done.directory),
        "published": None if done.published is None else done.published.version,
        "compared": done.compared,
    }


def _show(done: "Trained", output: Path | None) -> None:
    losses = ", ".join(f"{task} {loss:.3f} (best at {done.best[task]})" for task, loss in done.losses.items())
    click.echo(f"{done.rows:,} rows, {done.epochs} epochs, best {done.best['all']}; validation losses: {losses}")
    if done.epochs < done.most:
        click.echo(f"ended before epoch {done.most}: no task improved; with more fitting.patience --resume goes on")
    if done.transferred:
        click.echo("taken over: {taken} weights, {partly} of them in part; {fresh} fresh".format(**_taken(done)))
    for task, why in done.others.items():
        click.echo(f"nothing of {task}, which is another one: {why}")
    for task, each in done.sharing.items():
        click.echo(f"{task}: {_way(each)}")
    click.echo(f"checkpoints and manifest: {done.directory}")
    if output is not None:
        click.echo(f"written to {output}")
    elif done.published is None:
        beside = ", ".join(f"{task} {loss:+.4f} ± {error:.4f}" for task, (loss, error) in done.compared.items())
        click.echo(f"losses less those of what serves: {beside or 'too little was kept aside'}")
        click.echo(
            "published nothing: beyond error better in no task, or worse in one; --output FILE writes it all the same"
        )
    else:
        click.echo(f"published v{done.published.version}")


def _taken(done: "Trained") -> dict[str, int]:
    return {**done.transferred, "taken": done.transferred["taken"] + done.transferred["partly"]}


def _way(sharing: Mapping[str, Any]) -> str:
    """The way that serves a task, and what both lost on what was kept aside."""
    if sharing["shared"] is None:
        return f"{sharing['path']} (never judged)"
    said = f"{sharing['path']} (loss shared {sharing['shared']:.3f}, private {sharing['private']:.3f}"
    if sharing["difference"] is not None:
        said += "; difference {:+.4f}, {:+.4f} to {:+.4f}".format(*sharing["difference"])
    return f"{said})"
