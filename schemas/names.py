"""Names in a monitor's file: what they may look like, and that a name which is referred to exists."""

from collections.abc import Collection, Iterable
from typing import Annotated

from pydantic import Field

Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f]{1,120}$")]
"""Of signals and message fields: whatever the data call them."""
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]
"""Of what the file itself names: it becomes part of columns, topics and files."""


def check_known(key: str, names: Iterable[str], valid: Collection[str], what: str) -> None:
    """Refuse a name that nothing has. Raises ValueError with the valid ones."""
    for name in names:
        if name not in valid:
            raise ValueError(f"{key}: expected {what} ({', '.join(valid) or 'there is none'}), got {name!r}")


def check_unique(what: str, names: Iterable[tuple[str, str]]) -> None:
    """Refuse a name that two have.

    Args:
        what: is named.
        names: key and name of each.

    Raises:
        ValueError: with the key of the second.
    """
    seen: set[str] = set()
    for key, name in names:
        if name in seen:
            raise ValueError(f"{key}: expected each {what} to have a name of its own, got {name!r} twice")
        seen.add(name)
