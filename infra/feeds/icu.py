"""Real ICU stays: PhysioNet/CinC Challenge 2012 set-a (Silva et al. 2012; Goldberger et al. 2000)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from infra.feeds.feed import Feed, Message
from schemas.errors import InputError
from schemas.observation import Int64
from schemas.topics import Topics

FIRST_ADMISSION = datetime(2024, 1, 1, tzinfo=UTC)
ADMISSION_DAYS = 60
"""4,000 two-day stays over 60 days: about 130 patients at a time, a large hospital's ICUs."""
UNKNOWN = -1.0
_STATIC = ("Age", "Gender", "Height", "ICUType", "Weight")
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class _Events:
    """One measured value a row, in event-time order; `starts` are the rows at which an observation begins."""

    patient: Int64
    time_ms: Int64
    parameter: list[str]
    value: NDArray[np.float64]
    starts: Int64


def icu(topics: Topics, path: Path, seed: int = 0) -> Feed:
    """Feed of all stays: one observation per patient and minute, `time` on a synthetic calendar.

    The data set gives minutes since admission only: admissions are drawn uniformly over `ADMISSION_DAYS`, seeded.
    Values of -1 (unknown) of the admission record are left out. Raises InputError when the file is not the data set.
    """
    events = _load(path, np.random.default_rng(seed))
    title = "real ICU stays (PhysioNet Challenge 2012, set-a); admission times are synthetic"
    return Feed(title, len(events.starts) - 1, lambda: _messages(events, topics.observations))


def _messages(events: _Events, topic: str) -> Iterator[Message]:
    encode = msgspec.json.Encoder().encode
    values = events.value.tolist()
    patients, times_ms = events.patient[events.starts[:-1]].tolist(), events.time_ms[events.starts[:-1]].tolist()
    bounds = events.starts.tolist()
    for row, (patient, time_ms) in enumerate(zip(patients, times_ms, strict=True)):
        first, last = bounds[row], bounds[row + 1]
        signals = dict(zip(events.parameter[first:last], values[first:last], strict=True))
        entity = str(patient)
        yield Message(topic, entity.encode(), encode({"entity": entity, "time": time_ms, **signals}), time_ms)


def _load(path: Path, random: np.random.Generator) -> _Events:
    table = pq.read_table(path)
    if not {"record_id", "minute", "parameter", "value"} <= set(table.column_names):
        raise InputError(f"{path}: got columns {table.column_names}; expected record_id, minute, parameter, value")
    codes = table.column("parameter").combine_chunks()
    names = codes.dictionary.to_pylist()
    parameter = codes.indices.to_numpy().astype(np.int64)
    patient = table.column("record_id").to_numpy().astype(np.int64)
    # The float32 of the file, as the decimal that was measured: 36.6, not 36.599998.
    value = np.round(table.column("value").to_numpy().astype(np.float64), 4)
    time_ms = _admitted_ms(patient, random) + table.column("minute").to_numpy().astype(np.int64) * _MINUTE_MS
    static = np.isin(parameter, [code for code, name in enumerate(names) if name in _STATIC])
    kept = ~(static & (value == UNKNOWN))
    patient, time_ms, parameter, value = patient[kept], time_ms[kept], parameter[kept], value[kept]
    order = np.lexsort((patient, time_ms))
    patient, time_ms, parameter, value = patient[order], time_ms[order], parameter[order], value[order]
    new = np.flatnonzero((np.diff(patient) != 0) | (np.diff(time_ms) != 0)) + 1
    starts = np.concatenate([[0], new, [len(patient)]])
    return _Events(patient, time_ms, [names[code] for code in parameter.tolist()], value, starts)


def _admitted_ms(patient: Int64, random: np.random.Generator) -> Int64:
    stays, stay = np.unique(patient, return_inverse=True)
    minutes = random.integers(0, ADMISSION_DAYS * 24 * 60, len(stays))
    admitted: Int64 = int(FIRST_ADMISSION.timestamp() * 1000) + minutes[stay] * _MINUTE_MS
    return admitted
