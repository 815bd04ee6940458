"""Wide CSV and Parquet files as columns: one row an event, one column a signal.

pandas and pyarrow are imported inside the functions, so that importing `ingest` stays cheap.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from ingest.clock import EARLIEST_MS
from schemas.errors import InputError
from schemas.observation import Bool, Float64, Int64

if TYPE_CHECKING:
    import pandas as pd

LABEL = "label"
"""The optional column of 0 and 1 that is never a signal."""

_SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq")
_LATEST_MS = 253_402_300_799_999  # the end of the year 9999: the last time that datetime can hold


@dataclass(frozen=True, slots=True)
class Events:
    """Rows of one or several files, in input order. N rows.

    Attributes:
        entity: N names; empty where a cell is.
        time_ms: epoch milliseconds UTC, [N]; a row whose time cannot be read has that of the row before it in its file.
        timed: could the time be read? [N].
        columns: name -> float64 [N], NaN = missing.
        unreadable: name -> cells that held something else than a number, [N]; only columns that have such.
        label: 0/1, NaN = none; None where no file has the column.
    """

    entity: list[str]
    time_ms: Int64
    timed: Bool
    columns: Mapping[str, Float64]
    unreadable: Mapping[str, Bool]
    label: Float64 | None = None

    def __len__(self) -> int:
        return len(self.entity)

    def order(self) -> Int64:
        """Row numbers by event time, stable by position, [N]."""
        return np.argsort(self.time_ms, kind="stable")


def read_events(
    files: Sequence[Path], entity_key: str = "entity", time_key: str = "time", signals: Collection[str] | None = None
) -> Events:
    """Read files into one table, in the order given.

    Args:
        files: .csv, .csv.gz or .parquet; a folder stands for those in it, sorted by name.
        entity_key: column of entity names, read as text; absent: the file's stem.
        time_key: column of event times, ISO 8601 or epoch milliseconds, UTC.
        signals: columns to read; None: all.

    Raises:
        InputError: a file is missing, no table, or has no time column.
    """
    parts = [_read_part(path, entity_key, time_key, signals) for path in expand(files)]
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    torn = [name for name in names if any(name in part.unreadable for part in parts)]
    return Events(
        entity=[name for part in parts for name in part.entity],
        time_ms=np.concatenate([part.time_ms for part in parts]),
        timed=np.concatenate([part.timed for part in parts]),
        columns={name: np.concatenate([_column(part, name) for part in parts]) for name in names},
        unreadable={
            name: np.concatenate([part.unreadable.get(name, np.zeros(len(part), bool)) for part in parts])
            for name in torn
        },
        label=_labels(parts),
    )


def auto_signals(files: Sequence[Path], entity_key: str = "entity", time_key: str = "time") -> list[str]:
    """Names of the numeric columns but entity, time and label, by header and column types only.

    Raises:
        InputError: a file is missing or no table.
    """
    from pyarrow import types  # noqa: PLC0415

    found: dict[str, None] = {}
    for path in expand(files):
        for column in _schema(path):
            numeric = types.is_floating(column.type) or types.is_integer(column.type) or types.is_decimal(column.type)
            if numeric and column.name not in {entity_key, time_key, LABEL}:
                found.setdefault(column.name)
    return list(found)


def expand(files: Sequence[Path]) -> list[Path]:
    """Folders replaced by the tables in them.

    Raises:
        InputError: a file is missing or of another kind, or there is none.
    """
    paths = [path for given in files for path in (_inside(given) if given.is_dir() else [given])]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: expected a file, found none")
        if not path.name.endswith(_SUFFIXES):
            raise InputError(f"{path}: expected a name that ends in {', '.join(_SUFFIXES)}")
    if not paths:
        raise InputError(f"expected at least one input file, got none in {[str(given) for given in files]}")
    return paths


def to_messages(
    events: Events, names: Collection[str], entity_key: str = "entity", time_key: str = "time"
) -> Iterator[tuple[bytes, bytes, int | None]]:
    """Rows in time order as JSON messages (key, value, timestamp), for `publish`.

    A row without readable time is sent without one: whoever reads it dead-letters it, and it stays counted.
    Cells that are no finite number are left out.

    Args:
        events: the rows.
        names: the columns to send.
        entity_key: the message field of the entity.
        time_key: the message field of the event time (epoch milliseconds).
    """
    encode = msgspec.json.Encoder().encode
    columns = [(name, events.columns[name]) for name in names if name in events.columns]
    for row in events.order().tolist():
        entity, timed = events.entity[row], bool(events.timed[row])
        time_ms = int(events.time_ms[row]) if timed else None
        message: dict[str, object] = {entity_key: entity, time_key: time_ms}
        message |= {name: float(column[row]) for name, column in columns if np.isfinite(column[row])}
        yield entity.encode(), encode(message), time_ms if timed and (time_ms or 0) >= 0 else None


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(_SUFFIXES))


def _stem(path: Path) -> str:
    return next(path.name.removesuffix(suffix) for suffix in reversed(_SUFFIXES) if path.name.endswith(suffix))


def _is_csv(path: Path) -> bool:
    return path.name.endswith((".csv", ".csv.gz"))


def _schema(path: Path) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv, parquet  # noqa: PLC0415

    try:
        return csv.open_csv(path).schema if _is_csv(path) else parquet.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: expected a table, got {type(error).__name__}: {error}") from error


def _read_part(path: Path, entity_key: str, time_key: str, signals: Collection[str] | None) -> Events:
    names = _schema(path).names
    if time_key not in names:
        raise InputError(f"{path}: expected a column {time_key!r} of event times, got columns {names[:20]}")
    others = [name for name in names if name not in {entity_key, time_key, LABEL}]
    wanted = others if signals is None else [name for name in others if name in signals]
    table = _table(path, [name for name in names if name in {entity_key, time_key, LABEL, *wanted}], entity_key)
    time_ms, timed = read_times(table[time_key])
    numbers = {name: _numbers(table[name]) for name in wanted}
    return Events(
        entity=table[entity_key].fillna("").tolist() if entity_key in names else [_stem(path)] * len(table),
        time_ms=time_ms,
        timed=timed,
        columns={name: values for name, (values, _) in numbers.items()},
        unreadable={name: bad for name, (_, bad) in numbers.items() if bad.any()},
        label=_numbers(table[LABEL])[0] if LABEL in names else None,
    )


def _table(path: Path, names: list[str], entity_key: str) -> "pd.DataFrame":
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv, parquet  # noqa: PLC0415

    try:
        if not _is_csv(path):
            table = parquet.read_table(path, columns=names)
        else:
            table = _read_csv(csv, path, names, entity_key)
        if entity_key in names:
            column = table.schema.get_field_index(entity_key)
            table = table.set_column(column, entity_key, table[entity_key].cast(pa.string()))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: expected a table, got {type(error).__name__}: {error}") from error
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _read_csv(csv: Any, path: Path, names: list[str], entity_key: str) -> Any:
    """Types as inferred from the file's first block; where a later cell does not fit, everything as text."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        return csv.read_csv(path, convert_options=_conversion(csv, names, {entity_key: pa.string()}))
    except pa.ArrowInvalid:
        return csv.read_csv(path, convert_options=_conversion(csv, names, dict.fromkeys(names, pa.string())))


def _conversion(csv: Any, names: list[str], types: Mapping[str, Any]) -> Any:
    return csv.ConvertOptions(include_columns=names, column_types=types)


def read_times(column: "pd.Series") -> tuple[Int64, Bool]:
    """Epoch milliseconds of ISO 8601 texts, dates or epoch milliseconds, and which cells held such a time.

    Any other cell gets the time of the one before it.
    """
    import pandas as pd  # noqa: PLC0415

    if pd.api.types.is_numeric_dtype(column.dtype):
        found = column.to_numpy(np.float64, na_value=np.nan)
    else:
        found = _parsed(column)
    timed = (found >= EARLIEST_MS) & (found <= _LATEST_MS)
    filled = pd.Series(np.where(timed, np.floor(found), np.nan)).ffill().bfill().fillna(0.0)
    return filled.to_numpy(np.float64).astype(np.int64), timed


def _parsed(column: "pd.Series") -> Float64:
    """Texts (ISO 8601, else epoch milliseconds), dates and timestamps as epoch milliseconds."""
    import pandas as pd  # noqa: PLC0415

    numbers = pd.to_numeric(column, errors="coerce") if column.dtype.kind != "M" else None
    moments = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601").dt.as_unit("ms")
    found = np.where(moments.isna(), np.nan, moments.astype("int64").to_numpy(np.float64))
    if numbers is None or isinstance(column.dtype, pd.DatetimeTZDtype):
        return found
    plain = numbers.to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isnan(plain), found, plain)


def _numbers(column: "pd.Series") -> tuple[Float64, Bool]:
    """Numbers, and which cells held something else. Booleans are 0 and 1; what pyarrow calls null is missing."""
    import pandas as pd  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    missing = column.isna() | column.isin(csv.ConvertOptions().null_values)
    unreadable: Bool = np.isnan(values) & ~missing.to_numpy(bool)
    return values, unreadable


def _column(part: Events, name: str) -> Float64:
    return part.columns.get(name, np.full(len(part), np.nan))


def _labels(parts: Sequence[Events]) -> Float64 | None:
    if all(part.label is None for part in parts):
        return None
    return np.concatenate([np.full(len(p), np.nan) if p.label is None else p.label for p in parts])
