"""ASHA as a resumed search needs it: with what its finished trials came to. Imported once Ray runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler

from infra.fitting.directory import epochs_in

LOSS = "loss"
EPOCH = "epoch"
_KEPT = 3
"""One in so many trials goes on at each rung (Li et al., 2020, section 3.2)."""
_FIRST_RUNG = 6
"""The first one is at this part of the epochs: the learning rate is then at its height."""


class Rungs(ASHAScheduler):
    """Tune keeps no scheduler's state: of a finished trial it is read from the trial's own run.

    Args:
        path: of all runs, each named by its trial's number.
        epochs: of a trial that is not ended early.
    """

    def __init__(self, path: Path, epochs: int) -> None:
        super().__init__(
            time_attr=EPOCH, max_t=epochs, grace_period=max(epochs // _FIRST_RUNG, 1), reduction_factor=_KEPT
        )
        self._path = path

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """A trial that had ended before the search was resumed takes its places again."""
        super().on_trial_add(tune_controller, trial)
        if trial.status == Trial.TERMINATED:
            for epoch in epochs_in(self._path / str(trial.config["number"])):
                self.on_trial_result(tune_controller, trial, reported(epoch))


def reported(epoch: Mapping[str, Any]) -> dict[str, float]:
    """What a trial is judged by after an epoch: the mean of the tasks' validation losses, which are standardised."""
    losses = epoch["validation"].values()
    return {LOSS: sum(losses) / len(losses), EPOCH: epoch["epoch"]}
