"""JSON records -> columns. Typed and vectorised for sound records; the judge reads the others.

Shapes: N records or rows, S signals of the layout, of which some successive K may stand in a message.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np

from ingest.clock import EARLIEST_MS, Clock, epoch_ms
from ingest.frame_records import own_headers
from ingest.judge import LONGEST_ENTITY, Judge, Verdict, dead_letter, units_key
from ingest.membership import Membership
from ingest.record import Record
from schemas.layout import Layout, no_vectors
from schemas.modality import Scope
from schemas.observation import Batch, Bool, DeadLetter, Field, Float64, Int64, Partition, Status

_REFUSED = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)
_NO_UNITS = b""
_UNITS_REMEMBERED = 256


@dataclass(slots=True)
class _Draft:
    """Columns of all N records read; `kept` marks those that become rows."""

    entity: list[str]
    time_ms: Int64
    values: Float64
    kept: Bool
    masked: Bool
    vectors: dict[str, Field]


class Decoder:
    """Turns records into batches. Never raises on what a record holds.

    Args:
        layout: the monitor's columns.
        clock: what event times are held against.
    """

    def __init__(self, layout: Layout, clock: Clock) -> None:
        monitor = layout.monitor
        message = layout.columns(Scope.ENTITY, Scope.STATIC)[layout.n_derived :]
        self._clock = clock
        self._max_ahead = monitor.max_ahead
        self._max_bytes = monitor.max_record_bytes
        self._layout, self._message = layout, slice(layout.n_derived, layout.n_derived + len(message))
        self._low = np.array([layout.signals[c].range[0] for c in message])
        self._high = np.array([layout.signals[c].range[1] for c in message])
        self._parse, self._pick = _form(layout, [layout.names[c] for c in message])
        self._judge = Judge(layout, Scope.ENTITY, Scope.STATIC)
        self._sound_units = {_NO_UNITS}
        self._membership = Membership(layout)

    def decode(self, records: Mapping[Partition, Sequence[Record]]) -> Batch:
        """Turn records, in order within each partition, into one batch.

        `next_offsets` covers every record given, rows or not.
        """
        partitions = tuple(partition for partition, found in records.items() if found)
        arrived = [record for partition in partitions for record in records[partition]]
        index = np.repeat(np.arange(len(partitions)), [len(records[partition]) for partition in partitions])
        latest_ms = epoch_ms(self._clock() + self._max_ahead)
        draft = self._draft(arrived, latest_ms)
        letters: list[DeadLetter] = []
        for row in np.flatnonzero(~draft.kept).tolist():
            verdict = self._judge.observation(arrived[row], latest_ms)
            self._admit(draft, row, verdict, arrived[row])
            letters += [dead_letter(partitions[index[row]], arrived[row], fault) for fault in verdict.faults]
        self._membership.fill(draft.entity, draft.values)
        next_offsets = tuple(records[partition][-1].offset + 1 for partition in partitions)
        return _batch(draft, arrived, index, (partitions, next_offsets), letters)

    def _draft(self, arrived: Sequence[Record], latest_ms: int) -> _Draft:
        forms = [self._read(record.value) for record in arrived]
        read: Bool = np.array([form is not None for form in forms], dtype=bool)
        sound = forms if read.all() else [form for form in forms if form is not None]
        draft = _blank(len(arrived), self._layout)
        draft.values[read, self._message] = self._columns(sound)
        times = np.full(len(arrived), np.nan)
        times[read] = _times(sound)
        draft.entity = ["" if form is None else form.e for form in forms]
        timed: Bool = (times >= EARLIEST_MS) & (times <= latest_ms)
        draft.time_ms[timed] = np.floor(times[timed])
        draft.kept = read & timed & self._plausible(draft.values) & self._addressed(draft.entity, arrived)
        return draft

    def _read(self, value: bytes | None) -> Any:
        try:
            form = self._parse(value)
        except _REFUSED:
            return None
        units = bytes(form.u)
        return form if units in self._sound_units else None

    def _columns(self, forms: list[Any]) -> Float64:
        return np.array([self._pick(form) for form in forms], dtype=np.float64).reshape(len(forms), len(self._low))

    def _plausible(self, values: Float64) -> Bool:
        message = values[:, self._message]
        missing = np.isnan(message)
        sound = missing | ((message >= self._low) & (message <= self._high))
        plausible: Bool = np.logical_and(sound.all(axis=1), ~missing.all(axis=1))
        return plausible

    def _addressed(self, entity: Sequence[str], arrived: Sequence[Record]) -> Bool:
        """Does the key name the entity, with no NUL (PostgreSQL stores none), in a record of bearable size?"""
        limit = self._max_bytes
        addressed: Bool = np.array(
            [
                (key := record.key) is not None
                and name.encode() == key
                and b"\x00" not in key
                and len(record.value or b"") <= limit
                for name, record in zip(entity, arrived, strict=True)
            ],
            dtype=bool,
        )
        return addressed

    def _admit(self, draft: _Draft, row: int, verdict: Verdict, record: Record) -> None:
        draft.values[row] = np.nan
        if verdict.values is None:
            return
        draft.kept[row] = True
        draft.masked[row] = bool(verdict.faults)
        draft.entity[row], draft.time_ms[row] = verdict.entity, verdict.time_ms
        for column, value in verdict.values.items():
            draft.values[row, column] = value
        for name, vector in verdict.vectors.items():
            draft.vectors[name][row] = vector
        if not verdict.faults and not verdict.vectors:
            self._remember_units(record.value)

    def _remember_units(self, value: bytes | None) -> None:
        """A record without fault that the fast way refused: its units were new and are sound.

        Sound means of every signal the units name: those of a signal that was absent here are not judged yet.
        """
        try:
            form = self._parse(value)
            named = msgspec.json.decode(form.u, type=dict[str, str])
        except _REFUSED:
            return
        if len(self._sound_units) < _UNITS_REMEMBERED and self._judge.knows_units(named):
            self._sound_units.add(bytes(form.u))


def _form(layout: Layout, names: list[str]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """A typed parser of messages, and the picker of its signals.

    Fields are called e, t, u and s0... since names on the wire need not be identifiers.
    """
    monitor = layout.monitor
    units = units_key(monitor, layout.names)
    entity = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ENTITY)]
    fields: list[Any] = [("e", entity), ("t", datetime | float), ("u", msgspec.Raw, msgspec.Raw(_NO_UNITS))]
    fields += [(f"s{column}", float | None, None) for column in range(len(names))]
    wire = {"e": monitor.entity, "t": monitor.time, "u": units or "\x00units"}
    wire |= {f"s{column}": name for column, name in enumerate(names)}
    form = msgspec.defstruct("Message", fields, forbid_unknown_fields=True, rename=wire, gc=False)
    picked = [f"s{column}" for column in range(len(names))]
    return msgspec.json.Decoder(form).decode, attrgetter(*picked) if picked else lambda _: ()


def _blank(rows: int, layout: Layout) -> _Draft:
    return _Draft(
        entity=[],
        time_ms=np.zeros(rows, dtype=np.int64),
        values=np.full((rows, len(layout.names)), np.nan),
        kept=np.zeros(rows, dtype=bool),
        masked=np.zeros(rows, dtype=bool),
        vectors=no_vectors(layout, rows),
    )


def _times(forms: list[Any]) -> Float64:
    """Epoch milliseconds as float64: exact up to 2^53, and a number too large for int64 stays comparable."""
    return np.array([t if (t := form.t).__class__ is float else epoch_ms(t) for form in forms], dtype=np.float64)


def _batch(
    draft: _Draft,
    arrived: Sequence[Record],
    index: Int64,
    progress: tuple[tuple[Partition, ...], tuple[int, ...]],
    letters: Sequence[DeadLetter],
) -> Batch:
    kept = np.flatnonzero(draft.kept)
    rows = kept.tolist()
    return Batch(
        entity=[draft.entity[row] for row in rows],
        time_ms=draft.time_ms[kept],
        values=draft.values[kept],
        partition=index[kept].astype(np.int64),
        offset=np.array([arrived[row].offset for row in rows], dtype=np.int64),
        status=np.full(len(rows), Status.OK, dtype=np.uint8),
        masked=draft.masked[kept],
        partitions=progress[0],
        next_offsets=progress[1],
        dead_letters=tuple(letters),
        raw=[arrived[row].value or b"" for row in rows],
        recorded_ms=np.array([arrived[row].timestamp for row in rows], dtype=np.int64),
        headers=[own_headers(arrived[row]) for row in rows] if draft.vectors else [],
        vectors={name: vector[kept] for name, vector in draft.vectors.items()},
    )
