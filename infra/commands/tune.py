"""`bellwether tune`: search a monitor's settings on history."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from infra.commands.history import fitted

if TYPE_CHECKING:
    from infra.tuning import Tuned


@click.command()
@fitted
@click.option("--trials", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--over", multiple=True, help="FIELD=LOW..HIGH or FIELD=ONE,TWO, any number of times.")
@click.option("--workers-at-once", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def tune(trials: int, over: tuple[str, ...], workers_at_once: int, *, as_json: bool, **asked: Any) -> None:
    """Fit MONITOR's network on FILES with other settings in every trial; say which lost least on the part kept aside.

    A field is one of fitting, model or training, by its dotted name: --over fitting.learning_rate=1e-3..1e-2
    --over model.width=16,32,64. A trial that falls behind is ended early.
    """
    from infra.fitting.options import FitOptions
    from infra.tuning import tune as run_tuning

    found = run_tuning(FitOptions(**asked), over, trials, workers_at_once)
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
