"""Weights by what people call them: a version of the monitor's database, or a file."""

from dataclasses import dataclass
from pathlib import Path

from infra.assembly import registry_of
from infra.registry import SqlRegistry
from schemas.errors import ModelError
from schemas.layout import Layout
from schemas.protocols import ModelRecord

FRESH = "fresh"
"""What options that name weights take besides: none at all."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The bytes, and what to call them where they are refused."""

    content: bytes
    source: str


def stored(registry: SqlRegistry, record: ModelRecord) -> Weights:
    """Those of a published version. Raises ModelError when the file is missing or is not what it was."""
    return Weights(registry.load(record), f"model version {record.version}")


def weights_of(layout: Layout, model: str, option: str = "") -> Weights:
    """What a version number or a file holds.

    Args:
        layout: the monitor, whose database holds its versions.
        model: the number or the path.
        option: that named it, if one did, which may then be `FRESH` instead.

    Raises:
        ModelError: no such version, or the file cannot be read.
        StackError: a version, and there is no database.
    """
    if model.isdecimal():
        registry = registry_of(layout.monitor)
        return stored(registry, registry.get(int(model)))
    try:
        return Weights(Path(model).read_bytes(), model)
    except OSError as error:
        named, more = (f"{option} {model}", f"{FRESH}, ") if option else (model, "")
        raise ModelError(f"{named}: {error.strerror}; expected {more}a version number or a file") from error


def write(path: Path, content: bytes) -> None:
    """A file, and the folders above it. Raises ModelError when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; expected a file that can be written") from error
