"""The monitor that a backtest runs: the one named or made of the input, with what the command line changes in it."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from pydantic import ValidationError

from infra.backtest.auto import auto_monitor
from infra.backtest.options import Options
from infra.settings import load_monitor
from ingest.outcomes import Outcome
from schemas.errors import ConfigError, InputError
from schemas.monitor import Monitor
from schemas.task import Share, Task, TaskKind

EVENT_WEIGHT = 0.2


def monitor_of(options: Options, signals: Sequence[str], outcomes: Sequence[Outcome]) -> Monitor:
    """The monitor.

    Args:
        options: what was asked for.
        signals: of the monitor that `--auto` makes.
        outcomes: each task that they are about and the monitor does not name becomes an event task.

    Raises:
        ConfigError: the monitor is wrong.
        InputError: an outcome's task cannot be an event task.
    """
    if options.monitor is None:
        monitor = auto_monitor(signals, options.horizons or (1,), **options.keys)
    else:
        monitor = _keyed(load_monitor(options.monitor), options)
    if options.horizons is not None:
        tasks = tuple(
            task.model_copy(update={"horizons": options.horizons}) if task.kind is TaskKind.FORECAST else task
            for task in monitor.tasks
        )
        monitor = monitor.model_copy(update={"tasks": tasks})
    model = monitor.model.model_copy(update={"seed": options.seed})
    # Files are merged by event time before they are read: nothing comes late, and every row must be answered.
    monitor = monitor.model_copy(update={"model": model, "lateness": timedelta(0)})
    return with_events(monitor, outcomes, options.outcomes)


def _keyed(monitor: Monitor, options: Options) -> Monitor:
    """The monitor of files whose columns have other names."""
    signals = {signal.name for modality in monitor.modalities for signal in modality.carried}
    for key, name in options.keys.items():
        if name in signals:
            raise ConfigError("command line", f"--{key}", name, f"a column that is no signal of {monitor.monitor}")
    return monitor.model_copy(update=options.keys)


def with_events(
    monitor: Monitor, outcomes: Sequence[Outcome], source: Path | None, share: Share = Share.AUTO
) -> Monitor:
    """The monitor with an event task for each outcome that it does not name.

    Their labels are few, so they weigh little: at full weight stay-level labels were seen to spoil a shared trunk.
    """
    kinds = {task.name: task.kind for task in monitor.tasks}
    wanted = dict.fromkeys(outcome.task for outcome in outcomes)
    for name in wanted:
        if kinds.get(name, TaskKind.EVENT) is not TaskKind.EVENT:
            raise InputError(f"{source}: task {name}: expected an event task, got the monitor's {kinds[name]} task")
    added = tuple(_event(name, share, source) for name in wanted if name not in kinds)
    return monitor.model_copy(update={"tasks": monitor.tasks + added})


def _event(name: str, share: Share, source: Path | None) -> Task:
    try:
        return Task(name=name, kind=TaskKind.EVENT, weight=EVENT_WEIGHT, share=share)
    except ValidationError as error:
        expected = "1 to 63 letters, digits, _ and -, a letter first"
        raise InputError(f"{source}: task: got {name[:80]!r}; expected {expected}") from error
