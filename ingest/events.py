"""Rows as one table of events: one row an event, one column a signal."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec
import numpy as np

from schemas.layout import Layout, no_vectors
from schemas.observation import Bool, Field, Float64, Int64


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


def joined(parts: Sequence[Events], layout: Layout | None) -> Events:
    """The rows of all parts, in the order given; what a part lacks is missing in its rows.

    Args:
        parts: at least one.
        layout: the columns of frames and embeddings; None: there are none.
    """
    names = _names(part.columns for part in parts)
    torn = [name for name in names if any(name in part.unreadable for part in parts)]
    return Events(
        entity=[name for part in parts for name in part.entity],
        time_ms=np.concatenate([part.time_ms for part in parts]),
        below_ns=np.concatenate([part.below_ns for part in parts]),
        timed=np.concatenate([part.timed for part in parts]),
        columns={name: _stacked([(part, part.columns.get(name)) for part in parts]) for name in names},
        unreadable={
            name: np.concatenate([part.unreadable.get(name, np.zeros(len(part), bool)) for part in parts])
            for name in torn
        },
        others=_names(part.others for part in parts),
        label=_stacked([(part, part.label) for part in parts]) if any(p.label is not None for p in parts) else None,
        vectors={name: np.concatenate([_vector(part, name, layout) for part in parts]) for name in layout.vectors}
        if layout
        else {},
        classes={
            task: _stacked([(part, part.classes.get(task)) for part in parts])
            for task in _names(part.classes for part in parts)
        },
    )


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


def _names(each: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Every name once, in the order in which they came."""
    return tuple(dict.fromkeys(chain.from_iterable(each)))


def _stacked(columns: Sequence[tuple[Events, Float64 | None]]) -> Float64:
    """One column of all parts, NaN where a part has none."""
    return np.concatenate([np.full(len(part), np.nan) if found is None else found for part, found in columns])


def _vector(part: Events, name: str, layout: Layout) -> Field:
    return part.vectors[name] if name in part.vectors else no_vectors(layout, len(part))[name]
