"""One wide file, CSV or Parquet, as Arrow columns: its header, which columns hold numbers, and the columns themselves.

A CSV has no types: here it is decided what an empty cell is, what a number is, and which columns are numeric.
pyarrow is imported inside the functions, so that importing `ingest` stays cheap. N rows.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from schemas.errors import InputError
from schemas.observation import Bool, Float64

DECIDING_CELLS = 100
"""So many of a column's first non-empty cells say whether a CSV column is numeric."""

_PARQUET = (".parquet", ".pq")
_NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf|infinity|nan)$"  # what Arrow itself can read
_INDEX = re.compile(r"__index_level_\d+__$")
"""What pandas names an index that has no name, in Parquet."""
_EMPTY = re.compile("Empty CSV file|file size is 0 bytes")
"""What pyarrow says of a file without a byte, or of one that unpacks to none."""
_BATCH_ROWS = 65_536
_SHOWN = 40


class Kind(StrEnum):
    """What a column holds."""

    NUMBERS = "numbers"
    EMPTY = "empty"
    OTHER = "other"
    NAMELESS = "nameless"
    """Also the index of a data frame."""


def header(path: Path) -> list[str]:
    """Names of the columns, in order.

    Raises:
        InputError: the file is no table, or a pipe, or a name stands twice (empty names may).
    """
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv, parquet  # noqa: PLC0415

    if path.is_fifo():
        raise InputError(f"{path}: expected a file, got a pipe, which cannot be read twice: write it to a file first")
    try:
        names: list[str] = csv.open_csv(path).schema.names if _is_csv(path) else parquet.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise _no_table(path, error) from error
    for name, count in Counter(filter(None, names)).items():
        if count > 1:
            raise InputError(f"{path}: got column {name!r} {count} times; expected each name once")
    return names


def kinds(path: Path) -> dict[str, Kind]:
    """What each column holds, as far as types tell.

    CSV: NUMBERS where at least half of the column's first `DECIDING_CELLS` non-empty cells are numbers, so that one bad
    cell decides nothing. Parquet: where the declared type is a number's. EMPTY: no cell holds anything.

    Raises:
        InputError: the file is no table.
    """
    import pyarrow as pa  # noqa: PLC0415

    names = header(path)
    told = {name: (0, 0) for name in names if name}
    try:
        for batch in _batches(path, list(told)):
            undecided = [name for name, (cells, _) in told.items() if cells < DECIDING_CELLS]
            if not undecided:
                break
            for name in undecided:
                cells, numeric = told[name]
                more, right = _counted(batch.column(name), DECIDING_CELLS - cells, typed=not _is_csv(path))
                told[name] = cells + more, numeric + right
    except (pa.ArrowException, OSError) as error:
        raise _no_table(path, error) from error
    return {name: _kind(*told[name]) if name and not _INDEX.match(name) else Kind.NAMELESS for name in names}


def read(path: Path, numeric: Sequence[str] = (), texts: Sequence[str] = (), others: Sequence[str] = ()) -> Any:
    """Read columns into a `pyarrow.Table`.

    Args:
        path: the file.
        numeric: columns of numbers; they come as texts where a cell is none (`numbers` reads both alike).
        texts: columns that are kept as the texts they are.
        others: columns whose type is found out.

    Raises:
        InputError: the file is no table.
    """
    import pyarrow as pa  # noqa: PLC0415

    try:
        if _is_csv(path):
            return _read_csv(path, numeric, texts, others)
        return _read_parquet(path, [*numeric, *texts, *others], texts)
    except (pa.ArrowException, OSError) as error:
        raise _no_table(path, error) from error


def numbers(column: Any) -> tuple[Float64, Bool]:
    """Numbers, NaN = missing, and which cells held something else, [N] both. Booleans are 0 and 1."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import types  # noqa: PLC0415

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_string(column.type) or types.is_large_string(column.type):
        return _numbers_of_texts(column)
    if _is_numeric(column.type) or types.is_boolean(column.type) or types.is_null(column.type):
        return _array(column.cast(pa.float64(), safe=False)), np.zeros(len(column), dtype=np.bool_)
    return np.full(len(column), np.nan), _array(column.is_valid())


def seen(column: Any, row: int) -> str:
    """A cell as an error shows it."""
    cell = column[row].as_py()
    shown = "nothing" if cell is None or cell == "" else repr(cell)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def _is_csv(path: Path) -> bool:
    return not path.name.endswith(_PARQUET)


def _no_table(path: Path, error: Exception) -> InputError:
    """What went wrong, without the row that pyarrow quotes behind its last colon."""
    if _EMPTY.search(str(error)):
        return InputError(f"{path}: expected a table, got an empty file")
    told = re.sub(r"(got \d+): .*", r"\1", str(error), flags=re.DOTALL)
    return InputError(f"{path}: expected a table, got {type(error).__name__}: {told}")


def _read_csv(path: Path, numeric: Sequence[str], texts: Sequence[str], others: Sequence[str]) -> Any:
    """Everything as texts where a cell is not of its column's type, or not of the first block's for `others`."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    names = [*numeric, *texts, *others]
    typed = dict.fromkeys(numeric, pa.float64()) | dict.fromkeys(texts, pa.string())
    try:
        return csv.read_csv(path, convert_options=csv.ConvertOptions(include_columns=names, column_types=typed))
    except pa.ArrowInvalid:
        plain = dict.fromkeys(names, pa.string())
        return csv.read_csv(path, convert_options=csv.ConvertOptions(include_columns=names, column_types=plain))


def _read_parquet(path: Path, names: Sequence[str], texts: Sequence[str]) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    table = parquet.read_table(path, columns=list(names))
    for name in texts:
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.string()))
    return table


def _batches(path: Path, names: Sequence[str]) -> Iterator[Any]:
    """Record batches, a CSV's cells as texts."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv, parquet  # noqa: PLC0415

    if _is_csv(path):
        yield from csv.open_csv(
            path, convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        )
    else:
        yield from parquet.ParquetFile(path).iter_batches(_BATCH_ROWS, columns=list(names))


def _counted(column: Any, most: int, *, typed: bool) -> tuple[int, int]:
    """How many of the first `most` non-empty cells there are, and how many of them are numbers."""
    from pyarrow import compute  # noqa: PLC0415

    if typed:
        cells = min(most, len(column) - compute.sum(compute.is_null(column, nan_is_null=True), min_count=0).as_py())
        return cells, cells if _is_numeric(column.type) else 0
    text = _trimmed(column).drop_null()[:most]
    return len(text), compute.sum(_are_numbers(text), min_count=0).as_py()


def _kind(cells: int, numeric: int) -> Kind:
    if not cells:
        return Kind.EMPTY
    return Kind.NUMBERS if 2 * numeric >= cells else Kind.OTHER


def _is_numeric(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415

    return bool(types.is_floating(kind) or types.is_integer(kind) or types.is_decimal(kind))


def _numbers_of_texts(column: Any) -> tuple[Float64, Bool]:
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute  # noqa: PLC0415

    text = _trimmed(column)
    try:
        return _array(text.cast(pa.float64())), np.zeros(len(text), dtype=np.bool_)
    except pa.ArrowInvalid:
        pass  # a cell is no number: find out which
    for pattern, digit in (("^(?i)true$", "1"), ("^(?i)false$", "0")):
        text = compute.replace_substring_regex(text, pattern, digit)
    sound = compute.fill_null(_are_numbers(text), fill_value=False)
    values = compute.if_else(sound, text, pa.scalar(None, text.type)).cast(pa.float64())
    return _array(values), _array(compute.and_not(text.is_valid(), sound))


def _trimmed(column: Any) -> Any:
    """Texts without blanks around them; null where a CSV's cell says that it is missing."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute, csv  # noqa: PLC0415

    text = compute.utf8_trim_whitespace(column)
    empty = pa.array(csv.ConvertOptions().null_values, text.type)
    return compute.if_else(compute.is_in(text, empty), pa.scalar(None, text.type), text)


def _are_numbers(text: Any) -> Any:
    from pyarrow import compute  # noqa: PLC0415

    return compute.match_substring_regex(text, _NUMBER, ignore_case=True)


def _array(column: Any) -> Any:
    """NumPy's view of an Arrow column, NaN where a number is null."""
    return column.to_numpy() if hasattr(column, "chunks") else column.to_numpy(zero_copy_only=False)
