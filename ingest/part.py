"""One file, or one folder of frames, as events."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ingest.events import Events
from ingest.recording import LABELS, recorded
from ingest.table import header, numbers, read, seen
from ingest.times import read_times
from ingest.vectors import read_embeddings, read_frames
from schemas.errors import InputError
from schemas.layout import Layout
from schemas.modality import Modality, ModalityKind
from schemas.observation import Float64

LABEL = "label"
"""The optional column of 0 and 1 that is never a signal; ``label.<task>`` holds the classes of a state task."""
SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq")
"""How names of tables end."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read of each file.

    Attributes:
        entity_key: column of entity names, read as text; absent: the file's stem.
        time_key: column of event times, ISO 8601 or epoch milliseconds, UTC.
        signals: columns to read; None: all.
        labelled: read the column `label` too.
        layout: the columns of frames and embeddings; None: there are none.
        states: task -> its classes, of which the column ``label.<task>`` is read too.
    """

    entity_key: str = "entity"
    time_key: str = "time"
    signals: Collection[str] | None = None
    labelled: bool = False
    layout: Layout | None = None
    states: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def images(self) -> list[Modality]:
        """What a folder of frames may hold."""
        vectors = self.layout.vectors.values() if self.layout else ()
        return [modality for modality in vectors if modality.kind is ModalityKind.IMAGE]


def read_table(path: Path, wanted: Wanted) -> Events:
    """A row a line.

    Raises:
        InputError: it is no table, or has no time column, or no time can be read, or times are seconds; a label is
            neither 0 nor 1, or no class.
    """
    names = header(path)
    if wanted.time_key not in names:
        raise InputError(f"{path}: expected a column {wanted.time_key!r} of event times, got columns {names[:20]}")
    told = {task: f"{LABEL}.{task}" for task in wanted.states if f"{LABEL}.{task}" in names}
    others = [
        name for name in names if name and name not in {wanted.entity_key, wanted.time_key, LABEL, *told.values()}
    ]
    numeric = others if wanted.signals is None else [name for name in others if name in wanted.signals]
    labels = [LABEL] if wanted.labelled and LABEL in names else []
    named = wanted.entity_key in names
    embeddings = _embeddings(wanted.layout, others)
    texts = [*told.values(), *([wanted.entity_key] if named else [])]
    table = read(path, numeric=[*numeric, *labels], texts=texts, others=[wanted.time_key, *embeddings])
    times = read_times(table[wanted.time_key].to_pandas(), f"{path}: {wanted.time_key}")
    if len(table) and not times.timed.any():
        got = f"{path}: row 1: {wanted.time_key}: got {seen(table[wanted.time_key], 0)}"
        raise InputError(f"{got}; expected ISO 8601 or epoch milliseconds, which no row of the file has")
    columns = {name: numbers(table[name]) for name in numeric}
    vectors = {}
    for name, size in embeddings.items():
        vectors[name], columns[f"{name}.norm"] = read_embeddings(table[name].to_pylist(), size, name)
    return Events(
        entity=table[wanted.entity_key].fill_null("").to_pylist() if named else [_stem(path)] * len(table),
        time_ms=times.ms,
        below_ns=times.below_ns,
        timed=times.timed,
        columns={name: values for name, (values, _) in columns.items()},
        unreadable={name: bad for name, (_, bad) in columns.items() if bad.any()},
        others=tuple(name for name in others if name not in columns and name not in vectors),
        label=_label(path, table[LABEL]) if labels else None,
        vectors=vectors,
        classes={task: _classes(path, name, table[name], wanted.states[task]) for task, name in told.items()},
    )


def read_recording(folder: Path, wanted: Wanted) -> Events:
    """A row a frame. Raises InputError where the monitor has several image modalities, or a label is wrong."""
    if len(wanted.images) > 1:
        names = ", ".join(each.name for each in wanted.images)
        raise InputError(f"{folder}: expected a monitor with one image modality for a folder of frames, got {names}")
    frames, image = recorded(folder), wanted.images[0]
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
    return _told(events, told, wanted) if wanted.labelled and told.is_file() else events


def _embeddings(layout: Layout | None, names: Collection[str]) -> dict[str, int]:
    """Columns that hold lists of numbers, and how many."""
    vectors = layout.vectors.items() if layout else ()
    return {name: each.size for name, each in vectors if each.size is not None and name in names}


def _told(events: Events, path: Path, wanted: Wanted) -> Events:
    """The events with the labels of a table, joined by entity and time."""
    table = read_table(path, replace(wanted, signals=(), layout=None))
    places = {pair: row for row, pair in enumerate(zip(table.entity, table.time_ms.tolist(), strict=True))}
    pairs = zip(events.entity, events.time_ms.tolist(), strict=True)
    rows = np.array([places.get(pair, len(places)) for pair in pairs], dtype=np.int64)
    label = None if table.label is None else np.append(table.label, np.nan)[rows]
    return replace(
        events,
        label=label,
        classes={task: np.append(class_N, np.nan)[rows] for task, class_N in table.classes.items()},
    )


def _stem(path: Path) -> str:
    return next(path.name.removesuffix(suffix) for suffix in reversed(SUFFIXES) if path.name.endswith(suffix))


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
