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
        InputError: a file is missing, no table, or has no time column; a label is neither 0 nor 1, or no class.
    """
    folders = [path for path in files if wanted.images and is_recording(path)]
    tables = [path for path in files if path not in folders]
    paths = expand(tables) if tables or not folders else []
    parts = [read_table(path, wanted) for path in paths] + [read_recording(folder, wanted) for folder in folders]
    return joined(parts, wanted.layout)


def expand(files: Sequence[Path]) -> list[Path]:
    """Folders replaced by the tables in them.

    Raises:
        InputError: a file is missing or of another kind, or there is none.
    """
    paths = [path for given in files for path in (_inside(given) if given.is_dir() else [given])]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: expected a file, found none")
        if not path.name.endswith(SUFFIXES):
            raise InputError(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
    if not paths:
        raise InputError(f"expected at least one input file, got none in {[str(given) for given in files]}")
    return paths


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))
