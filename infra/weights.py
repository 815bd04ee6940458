"""Weights by what people call them: a version of the monitor's database, or a file."""

from pathlib import Path

from infra.assembly import registry_of
from schemas.errors import ModelError
from schemas.layout import Layout


def weights_of(layout: Layout, model: str) -> bytes:
    """The bytes of a version number or a file.

    Raises:
        ModelError: no such version, or the file cannot be read.
    """
    if model.isdecimal():
        stored = registry_of(layout.monitor)
        return stored.load(stored.get(int(model)))
    try:
        return Path(model).read_bytes()
    except OSError as error:
        raise ModelError(f"--model {model}: {error.strerror}; expected fresh, a version number or a file") from error
