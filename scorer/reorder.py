"""Event-time order: rows wait, per partition, until nothing older than them is expected any more.

A partition's watermark is the newest event time it has shown, minus the monitor's `lateness`. A row passes when the
watermark reaches it, and all rows that one record lets pass go in order of event time (Akidau et al., 2015, section
2.3). What passes when depends on the records alone, never on how they were grouped into batches; the rows that wait
are state, and in the snapshot.

W waiting rows, n rows that came, S signals.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from schemas.errors import SnapshotError
from schemas.layout import Layout, no_vectors
from schemas.observation import Batch, Bool, Field, Float64, Int64, Partition

_NEVER = np.iinfo(np.int64).min // 2
_PREFIX = "waiting."
_UNRECORDED = -1


@dataclass(slots=True)
class _Rows:
    """Rows of one partition, in columns."""

    entity: list[str]
    raw: list[bytes]
    headers: list[Sequence[tuple[str, bytes]]]
    time_ms: Int64
    values: Float64
    offset: Int64
    masked: Bool
    recorded_ms: Int64
    vectors: Mapping[str, Field]

    def pick(self, rows: Int64) -> "_Rows":
        chosen = rows.tolist()
        return _Rows(
            [self.entity[row] for row in chosen],
            [self.raw[row] for row in chosen],
            [self.headers[row] for row in chosen],
            self.time_ms[rows],
            self.values[rows],
            self.offset[rows],
            self.masked[rows],
            self.recorded_ms[rows],
            {name: vector[rows] for name, vector in self.vectors.items()},
        )


class Reorder:
    """Holds rows back. Without lateness only what an earlier, more patient configuration left waiting is reordered.

    Args:
        lateness: how much older than the newest one a row may be.
        layout: columns of `values`, and what rows carry beside them.
    """

    def __init__(self, lateness: timedelta, layout: Layout) -> None:
        self._lateness_ms = round(lateness / timedelta(milliseconds=1))
        self._nothing = _no_rows(layout)
        self._waiting: dict[Partition, _Rows] = {}
        self._newest_ms: dict[Partition, int] = {}

    def waiting(self, partition: Partition) -> int:
        """How many rows wait."""
        return len(self._waiting[partition].entity) if partition in self._waiting else 0

    def let_pass(self, batch: Batch) -> Batch:
        """Take a batch's rows in; give back, in order, those that may pass now."""
        if not self._lateness_ms and not self._waiting:
            return batch
        passed = [self._advance(partition, _rows_of(batch, place)) for place, partition in enumerate(batch.partitions)]
        count = [len(due) for _, due in passed]
        rows = _joined([self._nothing, *(rows for rows, _ in passed)])
        return replace(
            batch,
            entity=rows.entity,
            raw=rows.raw if batch.raw else [],
            headers=rows.headers if batch.headers else [],
            time_ms=rows.time_ms,
            values=rows.values,
            offset=rows.offset,
            masked=rows.masked,
            recorded_ms=rows.recorded_ms,
            vectors=rows.vectors,
            partition=np.repeat(np.arange(len(count)), count),
            status=np.zeros(len(rows.entity), dtype=batch.status.dtype),
            due=np.concatenate([due for _, due in passed]) if passed else np.empty(0, dtype=np.int64),
        )

    def snapshot(self, partition: Partition) -> dict[str, Field]:
        """The partition's waiting rows and newest time as arrays."""
        rows = self._waiting.get(partition)
        if rows is None:
            return {}
        headers = [[(name, value.hex()) for name, value in each] for each in rows.headers]
        return {
            f"{_PREFIX}entity": _as_bytes(rows.entity),
            f"{_PREFIX}headers": _as_bytes(headers),
            f"{_PREFIX}raw": np.frombuffer(b"".join(rows.raw), dtype=np.uint8),
            f"{_PREFIX}raw_bytes": np.array([len(value) for value in rows.raw], dtype=np.int64),
            f"{_PREFIX}time_ms": rows.time_ms,
            f"{_PREFIX}values": rows.values,
            f"{_PREFIX}offset": rows.offset,
            f"{_PREFIX}masked": rows.masked,
            f"{_PREFIX}recorded_ms": rows.recorded_ms,
            f"{_PREFIX}newest_ms": np.array([self._newest_ms[partition]], dtype=np.int64),
            **{f"{_PREFIX}vectors.{name}": vector for name, vector in rows.vectors.items()},
        }

    def restore(self, partition: Partition, fields: dict[str, Field]) -> None:
        """What `snapshot` gave; nothing where it gave nothing."""
        self.drop(partition)
        if f"{_PREFIX}newest_ms" not in fields:
            return
        held = {name.removeprefix(_PREFIX): value for name, value in fields.items() if name.startswith(_PREFIX)}
        for name, vector in self._nothing.vectors.items():
            if (seen := held[f"vectors.{name}"].shape[1:]) != vector.shape[1:]:
                raise SnapshotError(f"waiting frames of {name}: got {seen}; expected {vector.shape[1:]}")
        ends = np.cumsum(held["raw_bytes"]).tolist()
        raw = held["raw"].tobytes()
        headers = json.loads(held["headers"].tobytes()) if "headers" in held else [()] * len(ends)
        self._newest_ms[partition] = int(held["newest_ms"][0])
        self._waiting[partition] = _Rows(
            entity=json.loads(held["entity"].tobytes()),
            raw=[raw[start:end] for start, end in zip([0, *ends], ends, strict=False)],
            headers=[[(name, bytes.fromhex(value)) for name, value in each] for each in headers],
            time_ms=held["time_ms"],
            values=held["values"],
            offset=held["offset"],
            masked=held["masked"],
            recorded_ms=held.get("recorded_ms", np.full(len(ends), _UNRECORDED, dtype=np.int64)),
            vectors={name: held[f"vectors.{name}"] for name in self._nothing.vectors},
        )

    def drop(self, partition: Partition) -> None:
        """Forget a partition."""
        self._waiting.pop(partition, None)
        self._newest_ms.pop(partition, None)

    def _advance(self, partition: Partition, came: _Rows) -> tuple[_Rows, Int64]:
        """Rows that pass, in order, and for each the offset of the record that let it pass."""
        before = self._waiting.get(partition)
        held = 0 if before is None else len(before.entity)
        rows = came if before is None else _joined([before, came])
        newest_n = np.maximum.accumulate(came.time_ms)
        newest_n = np.maximum(newest_n, self._newest_ms.get(partition, _NEVER))
        by = np.searchsorted(newest_n, rows.time_ms + self._lateness_ms, side="left")
        by[held:] = np.maximum(by[held:], np.arange(len(came.entity)))
        passing = np.flatnonzero(by < len(came.entity))
        order = passing[np.lexsort((rows.offset[passing], rows.time_ms[passing], by[passing]))]
        self._waiting[partition] = rows.pick(np.flatnonzero(by >= len(came.entity)))
        if len(newest_n):
            self._newest_ms[partition] = int(newest_n[-1])
        self._newest_ms.setdefault(partition, _NEVER)
        return rows.pick(order), came.offset[by[order]]


def _as_bytes(plain: object) -> Field:
    return np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8)


def _rows_of(batch: Batch, place: int) -> _Rows:
    rows = np.flatnonzero(batch.partition == place)
    whole = _Rows(
        batch.entity,
        batch.raw or [b""] * len(batch),
        batch.headers or [()] * len(batch),
        batch.time_ms,
        batch.values,
        batch.offset,
        batch.masked,
        np.full(len(batch), _UNRECORDED, dtype=np.int64) if batch.recorded_ms is None else batch.recorded_ms,
        batch.vectors,
    )
    return whole.pick(rows)


def _no_rows(layout: Layout) -> _Rows:
    return _Rows(
        [],
        [],
        [],
        np.empty(0, dtype=np.int64),
        np.empty((0, len(layout.signals))),
        np.empty(0, dtype=np.int64),
        np.empty(0, dtype=np.bool_),
        np.empty(0, dtype=np.int64),
        no_vectors(layout, 0),
    )


def _joined(parts: Sequence[_Rows]) -> _Rows:
    return _Rows(
        entity=[name for part in parts for name in part.entity],
        raw=[value for part in parts for value in part.raw],
        headers=[each for part in parts for each in part.headers],
        time_ms=np.concatenate([part.time_ms for part in parts]),
        values=np.concatenate([part.values for part in parts]),
        offset=np.concatenate([part.offset for part in parts]),
        masked=np.concatenate([part.masked for part in parts]),
        recorded_ms=np.concatenate([part.recorded_ms for part in parts]),
        vectors={name: np.concatenate([part.vectors[name] for part in parts]) for name in parts[0].vectors},
    )
