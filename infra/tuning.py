"""`tune`: settings drawn, a fit for each, and the ones that lost least on the validation part."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from infra.fitting.directory import MANIFEST
from infra.fitting.options import FitOptions
from infra.fitting.runs import directory_of_run
from infra.fitting.space import DEFAULT, Axis, Point, axis_of, drawn, nested
from infra.settings import load_monitor
from schemas.errors import ConfigError, ModelError, StackError
from trainer.best import ALL
from trainer.weights import differences

_SEARCH = "search.json"
_TRIALS = "trials"


@dataclass(frozen=True, slots=True)
class Trial:
    """One point, fitted.

    Attributes:
        number: from 0, in the order they were drawn.
        settings: dotted field -> value.
        epochs: that were learned.
        best: the one whose mean validation loss was lowest.
        loss: that one's mean over tasks, standardised.
        losses: that epoch's, per task.
    """

    number: int
    settings: Point
    epochs: int
    best: int
    loss: float
    losses: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of it.

    Attributes:
        trials: the best first.
        unfinished: how many were interrupted, or never began.
        directory: of the search.
    """

    trials: Sequence[Trial]
    unfinished: int
    directory: Path

    @property
    def best(self) -> str:
        """The best trial's settings, as lines of the monitor's file."""
        return yaml.safe_dump(nested(self.trials[0].settings), sort_keys=True)


def tune(options: FitOptions, over: Sequence[str], trials: int, at_once: int) -> Tuned:
    """Draw settings, fit each, early-stopped where it falls behind.

    Every value that was said, and every point that was drawn, is checked before the first fit begins.

    Args:
        options: of every fit; `directory`: of the search.
        over: `field=low..high` or `field=one,two`; none: `DEFAULT`.
        trials: points to draw.
        at_once: processes.

    Raises:
        ConfigError: a field cannot be searched, a value is wrong, or a search lies in the directory already.
        InputError: a file cannot be read, or holds too little.
        ModelError: there is no such search to resume.
        StackError: Ray, or a trial, failed.
    """
    monitor = load_monitor(options.monitor)
    axes = [axis_of(each) for each in over or DEFAULT]
    for axis in axes:
        _check(axis, options.monitor)
    points = drawn(axes, trials, options.seed)
    _check_drawn(points, axes, options.monitor)
    home = monitor.database.folder / "tuning" / monitor.monitor
    directory = directory_of_run(options.directory, home, _SEARCH, resume=options.resume).resolve()
    grown = _begin(directory / _SEARCH, _search(options, points), resume=options.resume)
    from infra.fitting.trials import run_trials

    epochs = options.passes or monitor.fitting.epochs
    unfinished = run_trials(_absolute(options), points, epochs, directory / _TRIALS, at_once, anew=grown)
    found = [_trial(directory / _TRIALS, number, point) for number, point in enumerate(points)]
    fitted = sorted((each for each in found if each is not None), key=lambda trial: (trial.loss, trial.number))
    if not fitted:
        raise StackError(f"ray tune: got no epoch of {trials} trials; expected one of each: go on with --resume")
    return Tuned(fitted, unfinished, directory)


def _check(axis: Axis, monitor: str) -> None:
    """Raise ConfigError unless each of its values goes with the monitor's other settings."""
    for value in axis.said:
        try:
            load_monitor(monitor, over={axis.field: value})
        except ConfigError as error:
            if error.key == axis.field:
                raise
            expected = f"a value that goes with the monitor's others: {error}"
            raise ConfigError("command line", axis.field, value, expected) from error


def _check_drawn(points: Sequence[Point], axes: Sequence[Axis], monitor: str) -> None:
    """Raise ConfigError unless each point makes a monitor: between two ends that do not every number may."""
    ranges = {axis.field: axis.ends for axis in axes if axis.ends is not None}
    for point in points:
        try:
            load_monitor(monitor, over=point)
        except ConfigError as error:
            if error.key not in ranges:
                raise
            low, high = ranges[error.key]
            expected = f"the values that go, as in {error.key}=ONE,TWO: {error}"
            raise ConfigError("command line", error.key, f"{low}..{high}", expected) from error


def _absolute(options: FitOptions) -> FitOptions:
    """Trials run in directories of their own."""
    monitor = Path(options.monitor)
    return replace(
        options,
        monitor=str(monitor.resolve()) if monitor.is_file() else options.monitor,
        files=tuple(file.resolve() for file in options.files),
        outcomes=options.outcomes and options.outcomes.resolve(),
    )


def _search(options: FitOptions, points: Sequence[Point]) -> dict[str, Any]:
    """What a search is made of: another one is never continued by mistake."""
    return {
        "files": [file.name for file in options.files],
        "outcomes": options.outcomes and options.outcomes.name,
        "passes": options.passes,
        "seed": options.seed,
        "points": [dict(point) for point in points],
    }


def _begin(file: Path, search: Mapping[str, Any], *, resume: bool) -> bool:
    """Write down what is searched, if it is resumed after a check; whether there are more points than there were."""
    before = _resumed(file, search) if resume else search
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(search, indent=1), "utf-8")
    return len(search["points"]) > len(before["points"])


def _resumed(file: Path, search: Mapping[str, Any]) -> Mapping[str, Any]:
    """The search as it was; it may have more trials from now on, and differ in nothing else."""
    try:
        before: Mapping[str, Any] = json.loads(file.read_text("utf-8"))
        points = before["points"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{file}: got no search to resume ({type(error).__name__}); expected one") from error
    for difference in differences(
        before, json.loads(json.dumps({**search, "points": search["points"][: len(points)]}))
    ):
        expected = "a search goes on as it began, with as many trials or more; another --directory begins another"
        raise ModelError(f"{file}: {difference}: {expected}")
    return before


def _trial(path: Path, number: int, point: Point) -> Trial | None:
    """Of its manifest; None where the search was interrupted before its first epoch."""
    file = path / str(number) / MANIFEST
    if not file.exists():
        return None
    manifest = json.loads(file.read_text("utf-8"))
    best = manifest["best"]["epoch"][ALL]
    losses = manifest["epochs"][best - 1]["validation"]
    return Trial(number, point, len(manifest["epochs"]), best, manifest["best"]["loss"][ALL], losses)
