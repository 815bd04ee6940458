"""Where tables are printed: the terminal; a pipe is given room for a whole row."""

from rich.console import Console

_PIPE_WIDTH = 240


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for a pipe's reader."""
    terminal = Console(stderr=stderr)
    return terminal if terminal.is_terminal else Console(stderr=stderr, width=_PIPE_WIDTH)
