"""Options of the commands that fit on history. Each bears the name of its field in `FitOptions`."""

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]
_FITTED = (
    click.argument("monitor"),
    click.option("--input", "files", multiple=True, required=True, type=click.Path(exists=True, path_type=Path)),
    click.option(
        "--outcomes",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="CSV entity,task,label,revealed_at for event tasks.",
    ),
    click.option(
        "--passes", type=click.IntRange(min=1), help="Times through the files, at most. Default: fitting.epochs."
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of whatever is drawn, in every fit."
    ),
    click.option(
        "--directory", type=click.Path(path_type=Path, file_okay=False), help="Where checkpoints and manifests lie."
    ),
    click.option("--resume", is_flag=True, help="Go on with what was begun in the directory."),
)


def fitted(command: Command) -> Command:
    """MONITOR, its history, and how it is fitted."""
    return reduce(lambda outer, option: option(outer), reversed(_FITTED), command)
