"""Wide CSV and Parquet files as one table of events: one row an event, one column a signal."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ingest.table import header, numbers, read, seen
from ingest.times import read_times
from schemas.errors import InputError
from schemas.observation import Bool, Float64, Int64

LABEL = "label"
"""The optional column of 0 and 1 that is never a signal; ``label.<task>`` holds the classes of a state task."""

_NO_STATES: Mapping[str, Sequence[str]] = {}
_SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class Events:
    """Rows of one or several files, in input order. N rows.

    Attributes:
        entity: N names; empty where a cell is.
        time_ms: epoch milliseconds UTC, [N]; a row whose time cannot be read has that of the row before it in its file.
        below_ns: nanoseconds beyond that, cut off, [N].
        timed: could the time be read? [N].
        columns: name -> float64 [N], NaN = missing.
        unreadable: name -> cells that held something else than a number, [N]; only columns that have such.
        others: columns of the files that were not read.
        label: 0/1, NaN = none; None where no file has the column, or it was not asked for.
        classes: state task -> index of the class that a row was labelled with, NaN = none, [N]; tasks with a column.
    """

    entity: list[str]
    time_ms: Int64
    below_ns: Int64
    timed: Bool
    columns: Mapping[str, Float64]
    unreadable: Mapping[str, Bool]
    others: tuple[str, ...] = ()
    label: Float64 | None = None
    classes: Mapping[str, Float64] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.entity)

    def order(self) -> Int64:
        """Row numbers by event time, what was cut off included, stable by position, [N]."""
        return np.lexsort((self.below_ns, self.time_ms))

    def collapsed(self) -> int:
        """How many distinct times of an entity are one, event time having a resolution of one millisecond."""
        if not self.below_ns.any():
            return 0
        names = {name: number for number, name in enumerate(dict.fromkeys(self.entity))}
        entity = np.array([names[name] for name in self.entity])[self.timed]
        time_ms, below_ns = self.time_ms[self.timed], self.below_ns[self.timed]
        order = np.lexsort((below_ns, time_ms, entity))
        entity_moves, time_moves, below_moves = (np.diff(each[order]) != 0 for each in (entity, time_ms, below_ns))
        return int((~entity_moves & ~time_moves & below_moves).sum())


def read_events(
    files: Sequence[Path],
    entity_key: str = "entity",
    time_key: str = "time",
    signals: Collection[str] | None = None,
    *,
    labelled: bool = False,
    states: Mapping[str, Sequence[str]] = _NO_STATES,
) -> Events:
    """Read files into one table, in the order given.

    Args:
        files: .csv, .csv.gz or .parquet; a folder stands for those in it, sorted by name.
        entity_key: column of entity names, read as text; absent: the file's stem.
        time_key: column of event times, ISO 8601 or epoch milliseconds, UTC.
        signals: columns to read; None: all.
        labelled: read the column `label` too.
        states: task -> its classes, of which the column ``label.<task>`` is read too.

    Raises:
        InputError: a file is missing, no table, or has no time column; a label is neither 0 nor 1, or no class.
    """
    parts = [_read_part(path, entity_key, time_key, signals, states, labelled=labelled) for path in expand(files)]
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    torn = [name for name in names if any(name in part.unreadable for part in parts)]
    return Events(
        entity=[name for part in parts for name in part.entity],
        time_ms=np.concatenate([part.time_ms for part in parts]),
        below_ns=np.concatenate([part.below_ns for part in parts]),
        timed=np.concatenate([part.timed for part in parts]),
        columns={name: np.concatenate([_column(part, name) for part in parts]) for name in names},
        unreadable={
            name: np.concatenate([part.unreadable.get(name, np.zeros(len(part), bool)) for part in parts])
            for name in torn
        },
        others=tuple(dict.fromkeys(name for part in parts for name in part.others)),
        label=_labels(parts),
        classes={
            task: np.concatenate([part.classes.get(task, np.full(len(part), np.nan)) for part in parts])
            for task in states
            if any(task in part.classes for part in parts)
        },
    )


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


def _read_part(
    path: Path,
    entity_key: str,
    time_key: str,
    signals: Collection[str] | None,
    states: Mapping[str, Sequence[str]],
    *,
    labelled: bool,
) -> Events:
    names = header(path)
    if time_key not in names:
        raise InputError(f"{path}: expected a column {time_key!r} of event times, got columns {names[:20]}")
    told = {task: f"{LABEL}.{task}" for task in states if f"{LABEL}.{task}" in names}
    others = [name for name in names if name and name not in {entity_key, time_key, LABEL, *told.values()}]
    wanted = others if signals is None else [name for name in others if name in signals]
    labels = [LABEL] if labelled and LABEL in names else []
    named = entity_key in names
    texts = [*told.values(), *([entity_key] if named else [])]
    table = read(path, numeric=[*wanted, *labels], texts=texts, others=[time_key])
    times = read_times(table[time_key].to_pandas())
    columns = {name: numbers(table[name]) for name in wanted}
    return Events(
        entity=table[entity_key].fill_null("").to_pylist() if named else [_stem(path)] * len(table),
        time_ms=times.ms,
        below_ns=times.below_ns,
        timed=times.timed,
        columns={name: values for name, (values, _) in columns.items()},
        unreadable={name: bad for name, (_, bad) in columns.items() if bad.any()},
        others=tuple(name for name in others if name not in columns),
        label=_label(path, table[LABEL]) if labels else None,
        classes={task: _classes(path, name, table[name], states[task]) for task, name in told.items()},
    )


def _label(path: Path, column: Any) -> Float64:
    values, unreadable = numbers(column)
    wrong = unreadable | ~(np.isnan(values) | (values == 0) | (values == 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"{path}: row {row + 1}: {LABEL}: got {seen(column, row)}; expected 0, 1 or nothing")
    return values


def _classes(path: Path, name: str, column: Any, classes: Sequence[str]) -> Float64:
    """Indices of classes; two may be told as 0 and 1."""
    known = {each: float(place) for place, each in enumerate(classes)} | {"": np.nan}
    if len(classes) == 2:
        known |= {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}
    cells = [cell.strip() for cell in column.fill_null("").to_pylist()]
    wrong = next((row for row, cell in enumerate(cells) if cell not in known), None)
    if wrong is not None:
        expected = f"one of {', '.join(classes)}, or nothing"
        raise InputError(f"{path}: row {wrong + 1}: {name}: got {seen(column, wrong)}; expected {expected}")
    return np.array([known[cell] for cell in cells])


def _column(part: Events, name: str) -> Float64:
    return part.columns.get(name, np.full(len(part), np.nan))


def _labels(parts: Sequence[Events]) -> Float64 | None:
    if all(part.label is None for part in parts):
        return None
    return np.concatenate([np.full(len(p), np.nan) if p.label is None else p.label for p in parts])
