"""Trials on Ray Tune: each is a fit in a process of its own; ASHA ends those that fall behind."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from infra.fitting.directory import epochs_in
from infra.fitting.local import fit_rank
from infra.fitting.options import FitOptions
from infra.fitting.read import layout_of, read_history
from infra.fitting.space import Point
from infra.stack.ray import ray_session
from schemas.errors import StackError

_NAME = "ray"


def run_trials(
    options: FitOptions, points: Sequence[Point], epochs: int, path: Path, at_once: int, *, anew: bool
) -> int:
    """Fit every point; trial `n` leaves its run in `path / n`.

    Args:
        options: of every fit; `resume`: go on with what lies in `path`.
        points: each trial's settings.
        epochs: of a trial that is not ended early.
        path: of all runs, absolute.
        at_once: trials side by side; with one of them the search repeats itself exactly.
        anew: there are more trials than there were, so that Ray begins anew: those of before tell their epochs again.

    Returns:
        How many trials were interrupted before their end, or never began.

    Raises:
        StackError: Ray, or a trial, failed.
    """
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new one prints a banner whatever it was told
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # a run's manifest has its curve
    with ray_session("", at_once, log_to_driver=False):
        from ray import tune

        from infra.fitting.rungs import LOSS, Rungs
        from infra.fitting.told import Told

        trainable = tune.with_resources(
            tune.with_parameters(_trial, options=options, points=list(points), path=path), {"cpu": 1}
        )
        space = {"number": tune.grid_search(list(range(len(points))))}
        if options.resume and not anew and tune.Tuner.can_restore(str(path / _NAME)):
            tuner = tune.Tuner.restore(
                str(path / _NAME), trainable, param_space=space, resume_unfinished=True, restart_errored=True
            )
        else:
            tuner = tune.Tuner(
                trainable,
                param_space=space,
                tune_config=tune.TuneConfig(
                    metric=LOSS, mode="min", scheduler=Rungs(path, epochs), max_concurrent_trials=at_once
                ),
                run_config=tune.RunConfig(name=_NAME, storage_path=str(path), verbose=0, callbacks=[Told()]),
            )
        try:
            results = tuner.fit()
        except Exception as error:  # Ray has no one kind of error for what its own processes do
            raise StackError(f"ray tune: got {error}; expected {len(points)} trials that end well") from error
    if results.errors:
        failed = f"{results.num_errors} failed trials, the first: {results.errors[0]}"
        raise StackError(f"ray tune: got {failed}; expected none")
    return len(points) - sum(bool((results[place].metrics or {}).get("done")) for place in range(len(results)))


def _trial(config: dict[str, Any], options: FitOptions, points: Sequence[Point], path: Path) -> None:
    """One trial. What was interrupted is judged by its epochs so far again, and goes on where it stopped."""
    from ray import tune

    from infra.fitting.rungs import reported

    torch.set_num_threads(1)
    number = config["number"]
    before = epochs_in(path / str(number)) if options.resume else []
    for epoch in before:
        tune.report(reported(epoch))
    layout, outcomes = layout_of(options, points[number])
    fit_rank(
        layout,
        read_history(options.files, layout, outcomes, options.seed, again=number > 0),
        None,
        path / str(number),
        options.seed,
        lambda epoch: tune.report(reported(epoch)),
        resume=bool(before),
    )
