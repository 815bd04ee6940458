"""A fit's epochs as they come: a bar on a terminal, lines where output is piped; on standard error, both."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from infra.fitting.local import OnEpoch


@contextmanager
def epochs_shown(*, quiet: bool) -> Iterator[OnEpoch]:
    """What is to be told of each epoch."""
    console = Console(stderr=True, quiet=quiet, highlight=False)
    if not console.is_terminal:
        yield lambda epoch: console.print(_said_of(epoch), soft_wrap=True)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("first epoch", total=None)
        yield lambda epoch: progress.update(
            bar, completed=epoch["epoch"], total=epoch["most"], description=_said_of(epoch)
        )


def _said_of(epoch: Mapping[str, Any]) -> str:
    losses = "  ".join(f"{task} {loss:.3f}" for task, loss in epoch["validation"].items())
    refused = f", {epoch['refused']} steps refused" if epoch["refused"] else ""
    alone = [task for task, each in epoch.get("sharing", {}).items() if each["path"] == "private"]
    private = f", private {' '.join(alone)}" if alone else ""
    stage = epoch.get("stage", "")
    return f"{stage}epoch {epoch['epoch']}/{epoch['most']}: validation {losses}{private}{refused}"
