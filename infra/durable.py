"""Files that are there as a whole or not at all, even after the power went."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from schemas.errors import ModelError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, on disk when this returns. Raises ModelError when it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name, too
        finally:
            os.close(folder)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror}") from error
