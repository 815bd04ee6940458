"""Trials as they come: a line on standard error for each one's epoch. Imported once Ray runs."""

from typing import Any

import click
from ray.tune import Callback
from ray.tune.experiment import Trial


class Told(Callback):
    """Holds nothing: a resumed search is told of as the first one was."""

    def on_trial_result(
        self,
        iteration: int,  # noqa: ARG002 - Ray's own signature
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        result: dict[str, Any],
        **_: Any,
    ) -> None:
        """Say it."""
        click.echo(
            f"trial {trial.config['number']}, epoch {result['epoch']}: validation loss {result['loss']:.4f}", err=True
        )

    def on_trial_complete(
        self,
        iteration: int,  # noqa: ARG002 - Ray's own signature
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        **_: Any,
    ) -> None:
        """Say where it ended; its last epoch was not told of where it was ended by it."""
        last = trial.last_result
        loss = f" after epoch {last['epoch']}: validation loss {last['loss']:.4f}" if "epoch" in last else ""
        click.echo(f"trial {trial.config['number']} ended{loss}", err=True)
