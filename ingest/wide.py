"""Wide CSV and Parquet files, and folders of frames, as one table of events."""

from collections.abc import Sequence
from pathlib import Path

from ingest.events import Events, joined
from ingest.part import SUFFIXES, Wanted, read_recording, read_table
from ingest.recording import is_recording
from schemas.errors import InputError

_ALL = Wanted()


def read_events(files: Sequence[Path], wanted: Wanted = _ALL) -> Events:
    """Read files into one table, in the order given.

    Args:
        files: .csv, .csv.gz or .parquet; a folder stands for those in it, sorted by name. Where the layout has an
            image modality: folders of frames too (`ingest.recording`), which come after the tables.
        wanted: what is read of each.

    Raises:
        InputError: a file is missing, no table, or has no time column, or no time in it can be read; a label is
            neither 0 nor 1, or no class; there is no row in any of them.
    """
    paths = expand(files, images=bool(wanted.images))
    parts = [read_recording(path, wanted) if path.is_dir() else read_table(path, wanted) for path in paths]
    if not any(map(len, parts)):
        raise no_row(files)
    return joined(parts, wanted.layout)


def no_row(files: Sequence[Path]) -> InputError:
    """Of files that hold nothing but their headers."""
    return InputError(f"{', '.join(map(str, files))}: got no row; expected at least one")


def expand(files: Sequence[Path], *, images: bool = False) -> list[Path]:
    """Folders replaced by the tables in them; with `images`, folders of frames as they are, after the tables.

    Raises:
        InputError: a file is missing or of another kind, or there is none.
    """
    recordings = [path for path in files if images and is_recording(path)]
    given = [path for path in files if path not in recordings]
    paths = [path for each in given for path in (_inside(each) if each.is_dir() else [each])]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: expected a file, found none")
        if not path.name.endswith(SUFFIXES):
            raise InputError(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
    if not paths and not recordings:
        raise InputError(f"expected at least one input file, got none in {[str(path) for path in files]}")
    return paths + recordings


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))
