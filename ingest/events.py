"""Wide CSV and Parquet files, and folders of frames, as one table of events: one row an event, one column a signal."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ingest.recording import LABELS, is_recording, recorded
from ingest.table import header, numbers, read, seen
from ingest.times import read_times
from ingest.vectors import read_embeddings, read_frames
from schemas.errors import InputError
from schemas.layout import Layout, no_vectors
from schemas.modality import Modality, ModalityKind
from schemas.observation import Bool, Field, Float64, Int64

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
        vectors: modality -> frames or embeddings, [N, ...]; 0 where there is none. What is derived from them stands
            among the columns.
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
    vectors: Mapping[str, Field] = field(default_factory=dict)
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
    layout: Layout | None = None,
    states: Mapping[str, Sequence[str]] = _NO_STATES,
) -> Events:
    """Read files into one table, in the order given.

    Args:
        files: .csv, .csv.gz or .parquet; a folder stands for those in it, sorted by name. Where the layout has an
            image modality: folders of frames too (`ingest.recording`), which come after the tables.
        entity_key: column of entity names, read as text; absent: the file's stem.
        time_key: column of event times, ISO 8601 or epoch milliseconds, UTC.
        signals: columns to read; None: all.
        labelled: read the column `label` too.
        layout: the columns of frames and embeddings; None: there are none.
        states: task -> its classes, of which the column ``label.<task>`` is read too.

    Raises:
        InputError: a file is missing, no table, or has no time column; a label is neither 0 nor 1, or no class.
    """
    images = [] if layout is None else [m for m in layout.vectors.values() if m.kind is ModalityKind.IMAGE]
    folders = [path for path in files if images and is_recording(path)]
    tables = [path for path in files if path not in folders]
    paths = expand(tables) if tables or not folders else []
    keys = entity_key, time_key
    parts = [_read_part(path, *keys, signals, states, labelled=labelled, layout=layout) for path in paths]
    parts += [_read_recording(folder, keys, images, states, labelled=labelled) for folder in folders]
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
        vectors={name: np.concatenate([_vector(part, name, layout) for part in parts]) for name in layout.vectors}
        if layout
        else {},
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
    layout: Layout | None,
) -> Events:
    names = header(path)
    if time_key not in names:
        raise InputError(f"{path}: expected a column {time_key!r} of event times, got columns {names[:20]}")
    told = {task: f"{LABEL}.{task}" for task in states if f"{LABEL}.{task}" in names}
    others = [name for name in names if name and name not in {entity_key, time_key, LABEL, *told.values()}]
    wanted = others if signals is None else [name for name in others if name in signals]
    labels = [LABEL] if labelled and LABEL in names else []
    named = entity_key in names
    embeddings = _embeddings(layout, others)
    texts = [*told.values(), *([entity_key] if named else [])]
    table = read(path, numeric=[*wanted, *labels], texts=texts, others=[time_key, *embeddings])
    times = read_times(table[time_key].to_pandas())
    columns = {name: numbers(table[name]) for name in wanted}
    vectors = {}
    for name, size in embeddings.items():
        vectors[name], columns[f"{name}.norm"] = read_embeddings(table[name].to_pylist(), size, name)
    return Events(
        entity=table[entity_key].fill_null("").to_pylist() if named else [_stem(path)] * len(table),
        time_ms=times.ms,
        below_ns=times.below_ns,
        timed=times.timed,
        columns={name: values for name, (values, _) in columns.items()},
        unreadable={name: bad for name, (_, bad) in columns.items() if bad.any()},
        others=tuple(name for name in others if name not in columns and name not in vectors),
        label=_label(path, table[LABEL]) if labels else None,
        vectors=vectors,
        classes={task: _classes(path, name, table[name], states[task]) for task, name in told.items()},
    )


def _embeddings(layout: Layout | None, names: Collection[str]) -> dict[str, int]:
    """Columns that hold lists of numbers, and how many."""
    vectors = layout.vectors.items() if layout else ()
    return {name: each.size for name, each in vectors if each.size is not None and name in names}


def _read_recording(
    folder: Path,
    keys: tuple[str, str],
    images: Sequence[Modality],
    states: Mapping[str, Sequence[str]],
    *,
    labelled: bool,
) -> Events:
    """A row a frame."""
    if len(images) > 1:
        names = ", ".join(each.name for each in images)
        raise InputError(f"{folder}: expected a monitor with one image modality for a folder of frames, got {names}")
    frames, image = recorded(folder), images[0]
    frame, light, sound = read_frames([(each.path, each.encoding) for each in frames], image.shape)
    columns = [signal.name for signal in image.carried]
    events = Events(
        entity=[each.camera for each in frames],
        time_ms=np.array([each.time_ms or 0 for each in frames], dtype=np.int64),
        below_ns=np.zeros(len(frames), dtype=np.int64),
        timed=np.array([each.time_ms is not None for each in frames], dtype=bool),
        columns={name: light[:, place] for place, name in enumerate(columns)},
        unreadable={} if sound.all() else dict.fromkeys(columns, ~sound),
        vectors={image.name: frame},
    )
    told = folder / LABELS
    return _told(events, told, keys, states) if labelled and told.is_file() else events


def _told(events: Events, path: Path, keys: tuple[str, str], states: Mapping[str, Sequence[str]]) -> Events:
    """The events with the labels of a table, joined by entity and time."""
    table = _read_part(path, *keys, (), states, labelled=True, layout=None)
    places = {pair: row for row, pair in enumerate(zip(table.entity, table.time_ms.tolist(), strict=True))}
    pairs = zip(events.entity, events.time_ms.tolist(), strict=True)
    rows = np.array([places.get(pair, len(places)) for pair in pairs], dtype=np.int64)
    label = None if table.label is None else np.append(table.label, np.nan)[rows]
    return replace(
        events,
        label=label,
        classes={task: np.append(class_N, np.nan)[rows] for task, class_N in table.classes.items()},
    )


def _vector(part: Events, name: str, layout: Layout) -> Field:
    return part.vectors[name] if name in part.vectors else no_vectors(layout, len(part))[name]


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
