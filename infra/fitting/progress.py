"""A fit's epochs as they come: a bar on a terminal, lines where output is piped; on standard error, both."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from infra.fitting.local import OnEpoch
from trainer.fit import Epoch


@contextmanager
def epochs_shown(*, quiet: bool) -> Iterator[OnEpoch]:
    """What is to be told of each epoch."""
    console = Console(stderr=True, quiet=quiet, highlight=False)
    if not console.is_terminal:
        yield lambda epoch: console.print(said_of(epoch), soft_wrap=True)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("first epoch", total=None)
        yield lambda epoch: progress.update(bar, completed=epoch.number, total=epoch.most, description=said_of(epoch))


def said_of(epoch: Epoch) -> str:
    """One line."""
    losses = "  ".join(f"{task} {loss:.3f}" for task, loss in epoch.validation.losses.items())
    refused = f", {epoch.refused} steps refused" if epoch.refused else ""
    return f"epoch {epoch.number}/{epoch.most}: validation {losses}{refused}"
