"""Files of labels -> messages for the labels topic. An outcomes file is one as it stands."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ingest.producer import Message
from ingest.table import header, read
from schemas.errors import InputError
from schemas.label import FIELDS, LABEL, SOURCE, TASK

_ENTITY, _TIME = "entity", "time"
_COLUMNS = (_ENTITY, _TIME, *FIELDS)
_NEEDED, _TEXTS = {_ENTITY, TASK, LABEL}, {_ENTITY, TASK, SOURCE}


def is_labels(path: Path) -> bool:
    """Has the file the columns of labels? Raises InputError where it is no table."""
    return path.is_file() and set(header(path)) >= _NEEDED


def label_messages(path: Path) -> Iterator[Message]:
    """A message a row, in the file's order; empty cells are left out, and so are rows without a label.

    What its cells say is for the reader of the topic to judge.

    Raises:
        InputError: the file has a column that labels do not have.
    """
    names = header(path)
    unknown = [name for name in names if name not in _COLUMNS]
    if unknown:
        raise InputError(f"{path}: got column {unknown[0]!r}; expected columns of labels: {', '.join(_COLUMNS)}")
    columns = {name: column.to_pylist() for name, column in zip(names, read(path, texts=names).columns, strict=True)}
    for row in range(len(columns[_ENTITY])):
        said = {name: _cell(name, str(cell)) for name in names if (cell := columns[name][row]) not in {None, ""}}
        if LABEL in said:
            yield str(said.get(_ENTITY, "")).encode(), msgspec.json.encode(said), None


def _cell(name: str, cell: str) -> str | float:
    """A number where it may be one: a label, or epoch milliseconds."""
    if name in _TEXTS:
        return cell
    try:
        number = float(cell)
    except ValueError:
        return cell
    return int(number) if number.is_integer() else number
