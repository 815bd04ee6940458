"""Hindsight: an entity's last rows are kept until someone says what they meant, then learned from, again and again.

A label that is about one row (the anomaly task) waits until a window's worth of them is known; one about the entity
as a whole (an event task) is told once, of all its rows. Each becomes a piece. A step takes a few fresh pieces and
three times as many from a reservoir of older ones (Vitter, 1985, algorithm R): labels are too few to be used once.

R rows of a piece, S signals, V event tasks.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.label import Label
from schemas.layout import Layout
from schemas.observation import Batch, Field, Float64, Int64, Partition, Status

_REMEMBERED, _REMEMBERED_IN_ALL = 2048, 400_000
"""Rows remembered of an entity, and of all: a label that comes later finds nothing."""
_LONGEST = 256
"""Rows of a piece about an entity as a whole: all of nearly every ICU stay."""
_CONTEXT = 48
"""Rows before the first labelled one, from which the network finds its bearings."""
_FRESH, _REPLAYED = 8, 24
_RESERVOIR = 1024
_Row = tuple[int, int, NDArray[np.float32], Mapping[str, Field]]
"""Event time, offset, values in raw units, frames and vectors."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One entity's rows, from a blank state, and what is known of them now.

    Attributes:
        values: raw units, [R, S].
        time_ms: [R].
        faulty: 1.0 faulty, 0.0 sound, NaN unknown or taught before, [R].
        events: for each event task 1 yes, 0 no, -1 unknown, [V].
        partition: where the rows came from.
        offsets: first offset and the one after the last.
        vectors: modality -> frames or embeddings, [R, ...].
    """

    values: Float64
    time_ms: Int64
    faulty: Float64
    events: Int64
    partition: Partition
    offsets: tuple[int, int]
    vectors: Mapping[str, Field] = field(default_factory=dict)


@dataclass(slots=True)
class _Account:
    """What is remembered of one entity. `untaught`: row labels (by event time) that are in no piece yet."""

    partition: Partition
    rows: deque[_Row] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    untaught: dict[int, bool] = field(default_factory=dict)


class Hindsight:
    """Joins labels with the rows they are about.

    Args:
        layout: order of signals and tasks.
        rng: draws what is replayed.
    """

    def __init__(self, layout: Layout, rng: np.random.Generator) -> None:
        self._layout, self._rng = layout, rng
        self._event = {task.name: place for place, task in enumerate(layout.events)}
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._fresh: deque[Piece] = deque()
        self._reservoir: list[Piece] = []
        self._taught = self._rows = 0
        self.unmatched = 0
        """Labels whose rows are unknown or forgotten."""

    def remember(self, batch: Batch) -> None:
        """Take valid rows in. A row not newer than the entity's newest is skipped, as in learning."""
        values = batch.values.astype(np.float32)
        for row in np.flatnonzero(batch.status == Status.OK).tolist():
            account = self._account(batch.entity[row], batch.partitions[int(batch.partition[row])])
            time_ms = int(batch.time_ms[row])
            if not account.rows or time_ms > account.rows[-1][0]:
                self._rows += len(account.rows) < _REMEMBERED
                vectors = {name: vector[row] for name, vector in batch.vectors.items()}
                account.rows.append((time_ms, int(batch.offset[row]), values[row], vectors))
        while self._rows > _REMEMBERED_IN_ALL:
            self._rows -= len(self._accounts.popitem(last=False)[1].rows)

    def tell(self, labels: Sequence[Label]) -> None:
        """Take labels in that were revealed since the last call."""
        told: dict[str, Int64] = {}
        for label in labels:
            account = self._accounts.get(label.entity)
            if account is None or not account.rows or (label.time_ms or account.rows[0][0]) < account.rows[0][0]:
                self.unmatched += 1
            elif label.time_ms is None:
                told.setdefault(label.entity, self._untold())[self._event[label.task]] = label.value
            else:
                account.untaught[label.time_ms] = label.value
                if len(account.untaught) >= self._layout.monitor.training.window:
                    self._fresh.append(self._labelled(account))
        for entity, events in told.items():
            self._fresh.append(
                _piece(self._accounts[entity], list(self._accounts[entity].rows)[-_LONGEST:], {}, events)
            )

    def next(self) -> tuple[list[Piece], list[Piece]] | None:
        """Fresh pieces and replayed ones for a step; None until enough fresh ones wait."""
        if len(self._fresh) < _FRESH:
            return None
        fresh = [self._fresh.popleft() for _ in range(_FRESH)]
        drawn = self._rng.permutation(len(self._reservoir))[:_REPLAYED]
        replayed = [self._reservoir[place] for place in drawn.tolist()]
        for piece in fresh:
            self._store(piece)
        return fresh, replayed

    def _account(self, entity: str, partition: Partition) -> _Account:
        account = self._accounts.get(entity)
        if account is None:
            account = self._accounts[entity] = _Account(partition)
        else:
            self._accounts.move_to_end(entity)
        return account

    def _untold(self) -> Int64:
        return np.full(len(self._event), -1, dtype=np.int64)

    def _labelled(self, account: _Account) -> Piece:
        untaught, account.untaught = account.untaught, {}
        rows = list(account.rows)
        times = [row[0] for row in rows]
        first = next((place for place, time_ms in enumerate(times) if time_ms in untaught), len(rows) - 1)
        last = max((place for place, time_ms in enumerate(times) if time_ms in untaught), default=first)
        return _piece(account, rows[max(0, first - _CONTEXT) : last + 1], untaught, self._untold())

    def _store(self, piece: Piece) -> None:
        self._taught += 1
        if len(self._reservoir) < _RESERVOIR:
            self._reservoir.append(piece)
        elif (place := int(self._rng.integers(self._taught))) < _RESERVOIR:
            self._reservoir[place] = piece


def _piece(account: _Account, rows: list[_Row], labels: dict[int, bool], events: Int64) -> Piece:
    time_ms = [row[0] for row in rows]
    return Piece(
        values=np.stack([row[2] for row in rows]).astype(np.float64),
        time_ms=np.array(time_ms, dtype=np.int64),
        faulty=np.array([float(labels[each]) if each in labels else np.nan for each in time_ms]),
        events=events,
        vectors={name: np.stack([row[3][name] for row in rows]) for name in rows[0][3]},
        partition=account.partition,
        offsets=(rows[0][1], rows[-1][1] + 1),
    )
