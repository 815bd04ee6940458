"""`bellwether train`: fit on history."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from infra.training import Trained


@click.command()
@click.argument("monitor")
@click.option("--input", "files", multiple=True, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--outcomes",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="CSV entity,task,label,revealed_at for event tasks.",
)
@click.option("--passes", type=click.IntRange(min=1), help="Times through the files, at most. Default: fitting.epochs.")
@click.option(
    "--pretrain", type=click.IntRange(min=0), help="Epochs before, without labels. Default: fitting.pretrain."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--model", help="Where to start: fresh, a version, or a file. Default: the version that serves.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the weights; publish nothing.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Of checkpoints and manifest.")
@click.option("--resume", is_flag=True, help="Go on with the run in the directory.")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="0: this process, no Ray.")
@click.option("--gpus-per-worker", type=click.FloatRange(min=0), default=0, show_default=True)
@click.option("--ray-address", default="", help="Of a cluster. Default: a local Ray, where workers are asked for.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def train(
    monitor: str,
    files: tuple[Path, ...],
    outcomes: Path | None,
    passes: int | None,
    pretrain: int | None,
    seed: int,
    model: str | None,
    output: Path | None,
    directory: Path | None,
    workers: int,
    gpus_per_worker: float,
    ray_address: str,
    *,
    resume: bool,
    as_json: bool,
) -> None:
    """Fit MONITOR's network on wide CSV or Parquet FILES; publish it if it beats the version that serves."""
    from infra.fitting.options import FitOptions
    from infra.fitting.progress import epochs_shown
    from infra.training import train as run_training

    options = FitOptions(
        monitor=monitor,
        files=files,
        outcomes=outcomes,
        passes=passes,
        pretrain=pretrain,
        seed=seed,
        model=model,
        output=output,
        directory=directory,
        resume=resume,
        workers=workers,
        gpus_per_worker=gpus_per_worker,
        ray_address=ray_address,
    )
    with epochs_shown(quiet=as_json) as on_epoch:
        done = run_training(options, on_epoch)
    if as_json:
        click.echo(json.dumps(_plain(done)))
    else:
        _show(done, output)


def _plain(done: "Trained") -> dict[str, Any]:
    return {
        "rows": done.rows,
        "epochs": done.epochs,
        "best": dict(done.best),
        "losses": dict(done.losses),
        "metrics": dict(done.metrics),
        "sharing": dict(done.sharing),
        "directory": str(done.directory),
        "published": None if done.published is None else done.published.version,
    }


def _show(done: "Trained", output: Path | None) -> None:
    losses = ", ".join(f"{task} {loss:.3f} (best at {done.best[task]})" for task, loss in done.losses.items())
    click.echo(f"{done.rows:,} rows, {done.epochs} epochs, best {done.best['all']}; validation losses: {losses}")
    for task, each in done.sharing.items():
        click.echo(f"{task}: {_way(each)}")
    click.echo(f"checkpoints and manifest: {done.directory}")
    if output is not None:
        click.echo(f"written to {output}")
    elif done.published is None:
        click.echo("published nothing: not better than the serving version")
    else:
        click.echo(f"published v{done.published.version}")


def _way(sharing: Mapping[str, Any]) -> str:
    """The way that serves a task, and what both lost on what was kept aside."""
    if sharing["shared"] is None:
        return f"{sharing['path']} (never judged)"
    said = f"{sharing['path']} (loss shared {sharing['shared']:.3f}, private {sharing['private']:.3f}"
    if sharing["difference"] is not None:
        said += "; difference {:+.4f}, {:+.4f} to {:+.4f}".format(*sharing["difference"])
    return f"{said})"
