"""What to type next, so that it can be copied as it stands."""

import shlex
import shutil
import sys
from collections.abc import Mapping


def typed(*words: str) -> str:
    """A line that calls this program with `words`: by its bare name where the PATH finds it, else as it was called."""
    called = sys.argv[0]
    return shlex.join(["bellwether" if shutil.which("bellwether") == called else called, *words])


def exports(environment: Mapping[str, str]) -> list[str]:
    """Lines that set variables of the shell."""
    return [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
