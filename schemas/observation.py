"""Observations in columns, what became of each, and the records that were refused.

Shapes: N rows, S signals (order of `Layout`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]
Field = NDArray[Any]
"""One array of per-entity state: each field has its own dtype, fixed by its template."""


NO_VECTORS: Mapping[str, Field] = MappingProxyType({})


class Partition(NamedTuple):
    """One Kafka partition, or one input of a backtest."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


Ranges = Mapping[Partition, tuple[int, int]]
"""Partition -> its offsets, [first, next)."""


class Status(IntEnum):
    """What became of a row."""

    OK = 0
    DUPLICATE = 1
    LATE = 2
    INVALID = 3


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused record, or one signal of it. `signal` empty: the whole record.

    `reason` is one word of `ingest.reasons`; `detail` says what was expected and never holds a payload. `headers` are
    the record's own where they are part of it (a camera's frame).
    """

    partition: Partition
    offset: int
    reason: str
    detail: str
    signal: str = ""
    key: bytes | None = None
    value: bytes | None = None
    timestamp_ms: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Clean rows, in arrival order within each partition, of one or several partitions.

    A row of status INVALID keeps its place (a backtest answers every row) and has no values. Kafka batches
    hold no such rows: a refused record is only a dead letter there.

    Attributes:
        entity: N names.
        time_ms: event time, epoch milliseconds UTC, [N].
        values: raw units, NaN = missing, [N, S].
        partition: index into `partitions`, [N].
        offset: origin offset, [N].
        status: `Status`, [N]: OK or INVALID before scoring.
        masked: rows of which at least one signal was refused, [N].
        partitions: the partitions this batch may advance.
        next_offsets: for each of them, the offset to go on from once this batch is committed.
        dead_letters: refused records and signals found while this batch was read.
        raw: the records' values as received (for dead letters found later); empty where there are none.
        headers: the records' own, where they are part of a record as of a frame, beside `raw`; empty: of none.
        due: offset of the record that let each row pass, [N]; None where none waited: the row's own.
        recorded_ms: when each row's record was written, -1 where unknown, [N]; None: nobody says.
        vectors: modality -> its frames, [N, C, H, W] uint8, or embeddings, [N, P] float32; 0 where the row has none.
    """

    entity: list[str]
    time_ms: Int64
    values: Float64
    partition: Int64
    offset: Int64
    status: NDArray[np.uint8]
    masked: Bool
    partitions: tuple[Partition, ...]
    next_offsets: tuple[int, ...]
    dead_letters: tuple[DeadLetter, ...] = ()
    raw: list[bytes] = field(default_factory=list)
    headers: list[Sequence[tuple[str, bytes]]] = field(default_factory=list)
    due: Int64 | None = None
    recorded_ms: Int64 | None = None
    vectors: Mapping[str, Field] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.entity)

    @property
    def due_offset(self) -> Int64:
        """The offset that a row's scoring belongs to, [N]: rows behind it were judged when it was accounted for."""
        return self.offset if self.due is None else self.due


@dataclass(frozen=True, slots=True)
class GlobalRow:
    """A value that concerns every entity, usable from `known_ms` on (macro figures are published late)."""

    known_ms: int
    signal: int
    value: float
