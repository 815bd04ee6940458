"""Trackers: where a fit's epochs can be followed, beside its manifest. Each is imported only where it is named."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from schemas.errors import ConfigError


class Tracker(Protocol):
    """Keeps one fit's curves. A resumed fit goes on at its next epoch."""

    def record(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Keep an epoch's figures, by name."""

    def close(self) -> None:
        """The fit ended."""


def refuse_missing(names: Sequence[str]) -> None:
    """Check that trackers' packages are there, before anything is read.

    Raises:
        ConfigError: one is not: the extra to install is named.
    """
    for name in missing(names):
        raise ConfigError("monitor", "fitting.trackers", name, f"its package beside it: pip install -e '.[{name}]'")


def missing(names: Sequence[str]) -> list[str]:
    """Trackers whose packages are not installed."""
    return [name for name in names if find_spec(name) is None]


@contextmanager
def tracked(
    names: Sequence[str], monitor: str, path: Path, first: int
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Open trackers for the length of a fit; what comes is to be told of each epoch, as the manifest has it.

    Args:
        names: those of `fitting.trackers`.
        monitor: its name, which the run gets.
        path: the run's directory: what a tracker writes to disk lies there.
        first: the epoch that comes next; what was kept of it and of later ones is another run's.
    """
    with ExitStack() as opened:
        trackers = [opened.enter_context(closing(_TRACKERS[name](monitor, path, first))) for name in names]

        def record(epoch: Mapping[str, Any]) -> None:
            for tracker in trackers:
                tracker.record(epoch["epoch"], figures_of(epoch))

        yield record


def figures_of(epoch: Mapping[str, Any]) -> dict[str, float]:
    """An epoch's figures: `<task>/<figure>`, and those of all tasks together by their name alone."""
    found = {"gradient_norm": epoch["gradient_norm"], "refused_steps": float(epoch["refused"])}
    for figure, part in (("training_loss", "losses"), ("validation_loss", "validation"), ("weight", "weights")):
        found |= {f"{task}/{figure}": value for task, value in epoch[part].items()}
    for part in ("metrics", "attention", "similarity", "ways"):
        found |= {name.replace(".", "/", 1): value for name, value in epoch[part].items()}
    return found


class _TensorBoard:
    """Event files in the run's directory: `tensorboard --logdir DIRECTORY`."""

    def __init__(self, monitor: str, path: Path, first: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(path / "tensorboard" / monitor), purge_step=first)

    def record(self, epoch: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _MLflow:
    """A run at `MLFLOW_TRACKING_URI`; where that is not set, MLflow chooses the place itself."""

    def __init__(self, monitor: str, path: Path, first: int) -> None:  # noqa: ARG002 - all trackers are opened alike
        import mlflow

        mlflow.set_experiment("bellwether")
        self._mlflow = mlflow
        mlflow.start_run(run_name=monitor)

    def record(self, epoch: int, figures: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(figures), step=epoch)

    def close(self) -> None:
        self._mlflow.end_run()


class _WeightsAndBiases:
    """A run of the project `bellwether`, as `wandb login` or `WANDB_MODE=offline` says; its files lie in the run's."""

    def __init__(self, monitor: str, path: Path, first: int) -> None:  # noqa: ARG002 - all trackers are opened alike
        import wandb

        self._run = wandb.init(project="bellwether", name=monitor, dir=str(path))

    def record(self, epoch: int, figures: Mapping[str, float]) -> None:
        self._run.log(dict(figures), step=epoch)

    def close(self) -> None:
        self._run.finish()


_TRACKERS: Mapping[str, Callable[[str, Path, int], Tracker]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _MLflow,
    "wandb": _WeightsAndBiases,
}
