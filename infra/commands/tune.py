"""`bellwether tune`: search a monitor's settings on history."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from infra.tuning import Tuned


@click.command()
@click.argument("monitor")
@click.option("--input", "files", multiple=True, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--outcomes",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="CSV entity,task,label,revealed_at for event tasks.",
)
@click.option("--trials", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--over", multiple=True, help="FIELD=LOW..HIGH or FIELD=ONE,TWO, any number of times.")
@click.option("--passes", type=click.IntRange(min=1), help="Times through the files, at most. Default: fitting.epochs.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draw and of every fit.")
@click.option("--workers-at-once", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Of all trials' runs.")
@click.option("--resume", is_flag=True, help="Go on with the search in the directory.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def tune(
    monitor: str,
    files: tuple[Path, ...],
    outcomes: Path | None,
    trials: int,
    over: tuple[str, ...],
    passes: int | None,
    seed: int,
    workers_at_once: int,
    directory: Path | None,
    *,
    resume: bool,
    as_json: bool,
) -> None:
    """Fit MONITOR's network on FILES with other settings in every trial; say which lost least on the part kept aside.

    A field is one of fitting, model or training, by its dotted name: --over fitting.learning_rate=1e-3..1e-2
    --over model.width=16,32,64. A trial that falls behind is ended early.
    """
    from infra.fitting.options import FitOptions
    from infra.tuning import tune as run_tuning

    options = FitOptions(
        monitor=monitor,
        files=files,
        outcomes=outcomes,
        passes=passes,
        seed=seed,
        directory=directory,
        resume=resume,
    )
    found = run_tuning(options, over, trials, workers_at_once)
    if as_json:
        best = found.trials[0].settings
        ranked = [asdict(trial) for trial in found.trials]
        click.echo(
            json.dumps(
                {"best": best, "trials": ranked, "unfinished": found.unfinished, "directory": str(found.directory)}
            )
        )
        return
    _show(found)


def _show(found: "Tuned") -> None:
    from infra.explained import table

    fields = list(found.trials[0].settings)
    rows = [
        (str(each.number), *(str(each.settings[name]) for name in fields), str(each.epochs), f"{each.loss:.4f}")
        for each in found.trials
    ]
    table("trials, best first", ("trial", *fields, "epochs", "validation loss"), rows)
    click.echo(f"The best settings, as lines of the monitor's file:\n{found.best}")
    click.echo("They were chosen on the validation part: judge them on files that no trial saw.")
    if found.unfinished:
        click.echo(f"{found.unfinished} trials are unfinished: go on with --resume")
    click.echo(f"runs: {found.directory}")
