"""The slow, patient way to read a record: says what is wrong with it, signal by signal."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.clock import EARLIEST_MS, read_time
from ingest.fault import Fault
from ingest.frame_records import ENCODING, MODALITY, fields_of, is_frame, own_headers
from ingest.record import Record
from ingest.vectors import derived, read_embedding, read_frame
from schemas.layout import Layout
from schemas.modality import ModalityKind, Scope
from schemas.monitor import Monitor
from schemas.observation import DeadLetter, Field, Partition
from schemas.reasons import Reason
from schemas.signal import Signal

UNITS = "units"
"""The optional field that names the units of a message's signals."""

LONGEST_ENTITY = 512
_UNKNOWN_NAMED = 16  # a record of 100,000 unknown fields must not become 100,000 dead letters
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is left of a record. `values` (column -> number) empty: nothing, and `faults` holds the one reason.

    `vectors`: modality -> its frame or embedding.
    """

    entity: str = ""
    time_ms: int = 0
    values: Mapping[int, float] | None = None
    faults: tuple[Fault, ...] = ()
    vectors: Mapping[str, Field] = field(default_factory=dict)


def refused(fault: Fault) -> Verdict:
    """The verdict on a record that goes whole."""
    return Verdict(faults=(fault,))


def dead_letter(partition: Partition, record: Record, fault: Fault) -> DeadLetter:
    """A fault with its origin."""
    return DeadLetter(
        partition=partition,
        offset=record.offset,
        reason=fault.reason,
        detail=fault.detail,
        signal=fault.signal,
        key=record.key,
        value=record.value,
        timestamp_ms=record.timestamp,
        headers=own_headers(record),
    )


def units_key(monitor: Monitor, names: tuple[str, ...]) -> str | None:
    """The field that holds units, None where the monitor uses its name for something else."""
    return None if UNITS in {*names, monitor.entity, monitor.time} else UNITS


class Judge:
    """Judges records of some of a layout's signals.

    Args:
        layout: the monitor's columns.
        scopes: whose signals a message may carry; another scope's signal is an unknown one.
    """

    def __init__(self, layout: Layout, *scopes: Scope) -> None:
        self.monitor = layout.monitor
        self._layout = layout
        self._signals = {
            layout.names[c]: (c, layout.signals[c]) for c in layout.columns(*scopes) if c >= layout.n_derived
        }
        vectors = layout.vectors.items() if Scope.ENTITY in scopes else ()
        self._images = {name: each.shape for name, each in vectors if each.kind is ModalityKind.IMAGE}
        self._sizes = {name: each.shape[0] for name, each in vectors if each.kind is ModalityKind.EMBEDDING}
        self._units = units_key(layout.monitor, layout.names)

    def observation(self, record: Record, latest_ms: int) -> Verdict:
        """Judge an observation. `latest_ms` is the latest event time the clock allows."""
        framed = bool(self._images) and is_frame(record)
        document = fields_of(record, self.monitor.time) if framed else self.document(record)
        if isinstance(document, Fault):
            return refused(document)
        entity = self.entity(document, record.key)
        if isinstance(entity, Fault):
            return refused(entity)
        time_ms = self.time(document, self.monitor.time, latest_ms)
        if isinstance(time_ms, Fault):
            return refused(time_ms)
        if framed:
            return self._frame(record, document, entity, time_ms)
        return self.signals(document, entity, time_ms, frozenset({self.monitor.entity, self.monitor.time}))

    def document(self, record: Record) -> dict[str, object] | Fault:
        """The record's JSON object."""
        value, limit = record.value, self.monitor.max_record_bytes
        if value is None:
            return Fault(Reason.MALFORMED, "expected a JSON object, got no value")
        if len(value) > limit:
            return Fault(Reason.TOO_LARGE, f"expected at most max_record_bytes={limit} bytes, got {len(value)}")
        try:
            document = json.loads(value.decode("utf-8"))
        except (ValueError, RecursionError):
            return Fault(Reason.MALFORMED, f"expected a JSON object in UTF-8, got {len(value)} bytes of something else")
        if not isinstance(document, dict):
            return Fault(Reason.MALFORMED, f"expected a JSON object, got JSON of type {type(document).__name__}")
        return document

    def entity(self, document: Mapping[str, object], key: bytes | None) -> str | Fault:
        """The entity a record is about, which its key must name too."""
        name = self.monitor.entity
        if (entity := document.get(name)) is None:
            return Fault(Reason.MISSING_ENTITY, f"expected field {name}, got none")
        if not isinstance(entity, str):
            return Fault(Reason.WRONG_ENTITY, f"expected {name} as a string, got {type(entity).__name__}")
        if not 0 < len(entity) <= LONGEST_ENTITY:
            return Fault(Reason.WRONG_ENTITY, f"expected {name} of 1 to {LONGEST_ENTITY} characters, got {len(entity)}")
        if not storable(entity):
            return Fault(Reason.WRONG_ENTITY, f"expected {name} without NUL and lone surrogates")
        if key != entity.encode():
            return Fault(Reason.KEY_MISMATCH, f"expected {name} as the key, got {_describe(key)}")
        return entity

    @staticmethod
    def time(document: Mapping[str, object], name: str, latest_ms: int) -> int | Fault:
        """The time in field `name`, epoch milliseconds."""
        if (value := document.get(name)) is None:
            return Fault(Reason.MISSING_TIME, f"expected field {name}, got none")
        if (time_ms := read_time(value)) is None:
            return Fault(
                Reason.WRONG_CLOCK, f"expected {name} as ISO 8601 or epoch milliseconds, got {type(value).__name__}"
            )
        if not EARLIEST_MS <= time_ms <= latest_ms:
            side = "before 1900" if time_ms < EARLIEST_MS else "further ahead of the clock than max_ahead"
            return Fault(Reason.WRONG_CLOCK, f"expected {name} between 1900 and now, got a time {side}")
        return time_ms

    def signals(self, document: Mapping[str, object], entity: str, time_ms: int, skip: frozenset[str]) -> Verdict:
        """Judge every field that is not in `skip`."""
        units = document.get(self._units, {}) if self._units else {}
        if not isinstance(units, dict):
            detail = f"expected {UNITS} as an object of strings, got {type(units).__name__}"
            return refused(Fault(Reason.WRONG_UNIT, detail))
        values: dict[int, float] = {}
        vectors: dict[str, Field] = {}
        faults: list[Fault] = []
        for name, value in document.items():
            if name in skip or name == self._units:
                continue
            size = self._sizes.get(name)
            found = self._signal(name, value, units) if size is None else read_embedding(value, size, name)
            if isinstance(found, Fault):
                faults.append(found)
            elif isinstance(found, tuple):
                values[found[0]] = found[1]
            elif found is not None:
                vectors[name] = found
                values |= self._derived(name, found)
        if not values:
            return refused(_nothing_left(faults))
        return Verdict(entity, time_ms, values, _bounded(faults), vectors)

    def _frame(self, record: Record, headers: Mapping[str, object], entity: str, time_ms: int) -> Verdict:
        value, limit = record.value or b"", self.monitor.max_record_bytes
        name = str(headers.get(MODALITY, next(iter(self._images))))
        if name not in self._images:
            expected = f"expected {MODALITY} as one of {', '.join(self._images)}, got another"
            return refused(Fault(Reason.UNKNOWN_SIGNAL, expected))
        if len(value) > limit:
            return refused(
                Fault(Reason.TOO_LARGE, f"expected at most max_record_bytes={limit} bytes, got {len(value)}")
            )
        frame = read_frame(value, str(headers[ENCODING]), self._images[name])
        if isinstance(frame, Fault):
            return refused(frame)
        return Verdict(entity, time_ms, self._derived(name, frame), vectors={name: frame})

    def _derived(self, name: str, vector: Field) -> dict[int, float]:
        columns = self._layout.derived(name)
        return dict(zip(range(columns.start, columns.stop), derived(vector[None])[0].tolist(), strict=True))

    def knows_units(self, units: Mapping[str, str]) -> bool:
        """Is each unit the one its signal is configured with, whatever signals a message carries?"""
        return all(name in self._signals and self._signals[name][1].unit in {"", unit} for name, unit in units.items())

    def _signal(self, name: str, value: object, units: Mapping[str, object]) -> tuple[int, float] | Fault | None:
        if name not in self._signals:
            return Fault(Reason.UNKNOWN_SIGNAL, "expected a signal of the monitor", name[:_SHOWN])
        column, signal = self._signals[name]
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return Fault(Reason.WRONG_TYPE, f"expected a number, got {type(value).__name__}", name)
        unit = units.get(name)
        if unit is not None and signal.unit and unit != signal.unit:
            return Fault(Reason.WRONG_UNIT, f"expected unit {signal.unit}, got another", name)
        return self._plausible(column, signal, value)

    @staticmethod
    def _plausible(column: int, signal: Signal, value: float) -> tuple[int, float] | Fault:
        low, high = signal.range
        if isinstance(value, float) and not math.isfinite(value):
            return Fault(Reason.NOT_FINITE, "expected a finite number", signal.name)
        if not low <= value <= high:
            return Fault(Reason.IMPLAUSIBLE, f"expected a value in [{low:g}, {high:g}] {signal.unit}", signal.name)
        return column, float(value)


def storable(text: str) -> bool:
    """Does every database take it? PostgreSQL stores no NUL, none a lone surrogate."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def _describe(key: bytes | None) -> str:
    return "no key" if key is None else f"another key of {len(key)} bytes"


def _nothing_left(faults: list[Fault]) -> Fault:
    if not faults:
        return Fault(Reason.EMPTY, "expected at least one signal, got none")
    return Fault(faults[0].reason, f"no sound signal left of {len(faults)}; first: {faults[0].detail}")


def _bounded(faults: list[Fault]) -> tuple[Fault, ...]:
    unknown = [fault for fault in faults if fault.reason is Reason.UNKNOWN_SIGNAL]
    dropped = set(map(id, unknown[_UNKNOWN_NAMED:]))
    return tuple(fault for fault in faults if id(fault) not in dropped)
