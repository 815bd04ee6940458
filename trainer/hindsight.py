"""Hindsight: an entity's last rows are kept until someone says what they meant, then learned from, again and again.

A label that is about one row (the anomaly task, a state) waits until a window's worth of them is known; one about the
entity as a whole (an event task) is told of all its rows, or of those whose horizon it settles. Each becomes a piece.
A step takes a few fresh pieces and three times as many older ones: labels are too few to be used once.

S signals.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.label import Label
from schemas.layout import Layout
from schemas.observation import Batch, Field, Float64, Int64, Partition, Status
from trainer.ahead import came_within
from trainer.piece import Piece, Said
from trainer.replay import Replay

_REMEMBERED, REMEMBERED_IN_ALL = 2048, 400_000
"""Rows remembered of an entity, and of all: a label that comes later finds nothing."""
_LONGEST = 256
"""Rows of a piece about an entity as a whole: all of nearly every ICU stay."""
_CONTEXT = 48
"""Rows before the first labelled one, from which the network finds its bearings."""
_NEVER_MS = np.iinfo(np.int64).min
_FRESH, REPLAYED = 8, 24
_BUSY = 4
"""So many times longer labels wait to fill a piece while others are learned from, and pieces to fill a step."""
_RESERVOIR = 1024
_ENDED = 50_000
"""Labels whose end nobody has asked about yet: no more wait for a step."""
_RECALLED = 64
"""Labels that are made pieces of at once, when they are recalled."""
_Row = tuple[int, int, NDArray[np.float32], Mapping[str, Field]]
"""Event time, offset, values in raw units, frames and vectors."""


@dataclass(slots=True)
class _Account:
    """What is remembered of one entity.

    Attributes:
        partition: where its rows come from.
        rows: the newest.
        untaught: source -> event time -> task -> label, of rows that are in no piece yet.
        settled: source and event task with a horizon -> event time up to which its rows were taught.
    """

    partition: Partition
    rows: deque[_Row] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    untaught: dict[str, dict[int, dict[str, Label]]] = field(default_factory=dict)
    settled: dict[tuple[str, str], int] = field(default_factory=dict)


class Hindsight:
    """Joins labels with the rows they are about.

    Args:
        layout: order of signals and tasks.
        rng: draws what is replayed.
        hurried: labels of rows make a shorter piece where a window of rows of every entity has come and no step was
            taken meanwhile, or four were: a person's few verdicts on an entity never fill a window. A step is then
            taken of fewer pieces, too, once the first of them has waited for four.
    """

    def __init__(self, layout: Layout, rng: np.random.Generator, *, hurried: bool = False) -> None:
        self._layout, self._rng, self._hurried = layout, rng, hurried
        self._place = {task.name: place for place, task in enumerate(layout.choices)}
        self._classes = {task: len(each) for task, each in layout.labelled.items()}
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._fresh: deque[Piece] = deque()
        self._replay = Replay(_RESERVOIR, REPLAYED, rng)
        self._waiting: dict[tuple[str, str], int] = {}
        self._rows = self._seen = self._stepped = self._awaited = self._told = 0
        self.unmatched = 0
        """Labels whose rows are unknown or forgotten, or whose task or class the monitor has no more."""
        self.useless: deque[Label] = deque(maxlen=_ENDED)
        """Labels that will teach nothing: those, and what an earlier one had settled."""
        self.superseded: deque[Label] = deque(maxlen=_ENDED)
        """Labels that will teach nothing, for their source said something else about the same row before they did."""

    def remember(self, batch: Batch) -> None:
        """Take valid rows in. A row not newer than the entity's newest is skipped, as in learning."""
        values = batch.values.astype(np.float32)
        for row in np.flatnonzero(batch.status == Status.OK).tolist():
            account = self._account(batch.entity[row], batch.partitions[int(batch.partition[row])])
            time_ms = int(batch.time_ms[row])
            if not account.rows or time_ms > account.rows[-1][0]:
                self._seen += 1
                self._rows += len(account.rows) < _REMEMBERED
                vectors = {name: vector[row] for name, vector in batch.vectors.items()}
                account.rows.append((time_ms, int(batch.offset[row]), values[row], vectors))
        while self._rows > REMEMBERED_IN_ALL:
            forgotten = self._accounts.popitem(last=False)[1]
            self._rows -= len(forgotten.rows)
            for rows in forgotten.untaught.values():
                self.useless.extend(label for told in rows.values() for label in told.values())
        if self._hurried and self._seen - self._told >= self._patience:  # no more labels come that would do so
            self._hurry()

    def tell(self, labels: Sequence[Label]) -> None:
        """Take labels in that were revealed since the last call."""
        self._told = self._seen
        told: dict[tuple[str, str], tuple[list[_Row], Int64, list[Said]]] = {}
        for label in labels:
            account = self._accounts.get(label.entity)
            known = label.value < self._classes.get(label.task, 0)  # told before the monitor was changed, it may not be
            if not known or account is None or not account.rows or _before(label, account.rows[0][0]):
                self.unmatched += 1
                self.useless.append(label)
            elif label.time_ms is None:
                rows, classes, teaching = told.setdefault((label.entity, label.source), (*self._whole(account), []))
                settled_R = self._settle(account, label, _times(rows), classes[:, self._place[label.task]])
                if len(settled_R):
                    teaching.append((label, settled_R))
                else:
                    self.useless.append(label)
            else:
                self._put(account, label, label.time_ms)
        for (entity, source), (rows, classes, teaching) in told.items():
            if teaching:
                unknown = np.full(len(rows), np.nan)
                self._await(_piece(self._accounts[entity], rows, unknown, classes, teaching, source))
        if self._hurried:
            self._hurry()

    def recall(self, labels: Sequence[Label]) -> None:
        """Take labels in again that steps have learned from: they are replayed, and what they settled stays settled.

        The rows that they are about must be remembered before. A label of an entity as a whole comes back with the last
        rows that are remembered now.
        """
        unmatched = self.unmatched
        for first in range(0, len(labels), _RECALLED):
            self.tell(labels[first : first + _RECALLED])
            self._store_fresh()
        for entity, account in self._accounts.items():
            for source in list(account.untaught):
                self._await(self._labelled(entity, source))
        self._store_fresh()
        self.useless.clear()
        self.superseded.clear()
        self.unmatched = unmatched

    def _store_fresh(self) -> None:
        while self._fresh:
            self._replay.add(self._fresh.popleft(), 0)

    @property
    def ready(self) -> bool:
        """Do enough fresh pieces wait for a step, or a few for longer than any may?"""
        overdue = self._hurried and self._seen - self._awaited >= _BUSY * self._patience
        return len(self._fresh) >= _FRESH or (overdue and len(self._fresh) > 0)

    def next(self, regime: int = 0) -> tuple[list[Piece], list[Piece]] | None:
        """Fresh pieces and replayed ones for a step; None until it is `ready`.

        Args:
            regime: how often drift had been met until now.
        """
        if not self.ready:
            return None
        self._stepped = self._awaited = self._seen
        fresh = [self._fresh.popleft() for _ in range(min(_FRESH, len(self._fresh)))]
        replayed = self._replay.beside(fresh)
        for piece in fresh:
            self._replay.add(piece, regime)
        return fresh, replayed

    def withdraw(self, fresh: Sequence[Piece]) -> None:
        """The step that they were for was refused: they are not replayed either."""
        self._replay.drop(fresh)

    def newest(self, entity: str) -> tuple[Partition, int] | None:
        """Where an entity's rows come from, and the event time of the newest; None of an entity without any."""
        account = self._accounts.get(entity)
        return (account.partition, account.rows[-1][0]) if account is not None and account.rows else None

    def holds(self, entity: str, time_ms: int) -> bool:
        """Is that row remembered?"""
        account = self._accounts.get(entity)
        return account is not None and any(row[0] == time_ms for row in reversed(account.rows))

    def forget(self, source: str) -> None:
        """Nothing that a source told is taught or replayed any more."""
        self._fresh = deque(piece for piece in self._fresh if piece.source != source)
        self._replay.drop([piece for piece in self._replay.held if piece.source == source])
        for account in self._accounts.values():
            account.untaught.pop(source, None)

    def _account(self, entity: str, partition: Partition) -> _Account:
        account = self._accounts.get(entity)
        if account is None:
            account = self._accounts[entity] = _Account(partition)
        else:
            self._accounts.move_to_end(entity)
        return account

    def _whole(self, account: _Account) -> tuple[list[_Row], Int64]:
        rows = list(account.rows)[-_LONGEST:]
        return rows, self._untold(rows)

    def _untold(self, rows: list[_Row]) -> Int64:
        return np.full((len(rows), len(self._place)), -1, dtype=np.int64)

    def _settle(self, account: _Account, label: Label, time_ms_R: Int64, class_R: Int64) -> Int64:
        """Write what an outcome says of the rows that none before it, of its source, settled; which rows those are."""
        within = self._layout.choices[self._place[label.task]].within
        if within is None:
            class_R[:] = label.value
            return np.arange(len(class_R))
        assert label.until_ms is not None
        came_R = came_within(time_ms_R, within, label.until_ms, happened=label.value > 0)
        whose = label.source, label.task
        new_R = (came_R >= 0) & (time_ms_R > account.settled.get(whose, _NEVER_MS))
        class_R[new_R] = came_R[new_R]
        if new_R.any():
            account.settled[whose] = int(time_ms_R[new_R][-1])
        return np.flatnonzero(new_R)

    def _put(self, account: _Account, label: Label, time_ms: int) -> None:
        """Keep a label of a row until its source's fill a window; a source's last word about a row is the one."""
        mine = account.untaught.setdefault(label.source, {})
        former = mine.setdefault(time_ms, {}).get(label.task, label)
        if former != label:
            self.superseded.append(former)
        mine[time_ms][label.task] = label
        self._waiting.setdefault((label.entity, label.source), self._seen)
        if len(mine) >= self._layout.monitor.training.window:
            self._await(self._labelled(label.entity, label.source))

    @property
    def _patience(self) -> int:
        """Rows that labels wait for: a window of every entity."""
        return self._layout.monitor.training.window * len(self._accounts)

    def _await(self, piece: Piece) -> None:
        """Let a piece wait for a step."""
        if not self._fresh:
            self._awaited = self._seen
        self._fresh.append(piece)

    def _hurry(self) -> None:
        """Make pieces of what has waited long enough, the longest first."""
        patience = self._patience
        if self._seen - self._stepped < patience:
            patience *= _BUSY
        while self._waiting:
            (entity, source), since = next(iter(self._waiting.items()))
            if self._seen - since < patience:
                return
            if entity in self._accounts and source in self._accounts[entity].untaught:
                self._await(self._labelled(entity, source))
            else:
                del self._waiting[entity, source]

    def _labelled(self, entity: str, source: str) -> Piece:
        account = self._accounts[entity]
        self._waiting.pop((entity, source), None)
        untaught = account.untaught.pop(source)
        rows = list(account.rows)
        times = [row[0] for row in rows]
        first = next((place for place, time_ms in enumerate(times) if time_ms in untaught), len(rows) - 1)
        last = max((place for place, time_ms in enumerate(times) if time_ms in untaught), default=first)
        rows = rows[max(0, first - _CONTEXT) : last + 1]
        classes, faulty = self._untold(rows), np.full(len(rows), np.nan)
        labels: list[Said] = []
        for place, row in enumerate(rows):
            for task, label in untaught.pop(row[0], {}).items():
                labels.append((label, np.array([place])))
                if task == self._layout.anomaly.name:
                    faulty[place] = label.value
                else:
                    classes[place, self._place[task]] = label.value
        self.useless.extend(label for told in untaught.values() for label in told.values())
        return _piece(account, rows, faulty, classes, labels, source)


def _before(label: Label, first_ms: int) -> bool:
    """Is it about a row before the first one that is remembered?"""
    return label.time_ms is not None and label.time_ms < first_ms


def _times(rows: list[_Row]) -> Int64:
    return np.array([row[0] for row in rows], dtype=np.int64)


def _piece(
    account: _Account,
    rows: list[_Row],
    faulty: Float64,
    classes: Int64,
    labels: Sequence[Said],
    source: str,
) -> Piece:
    return Piece(
        values=np.stack([row[2] for row in rows]).astype(np.float64),
        time_ms=_times(rows),
        faulty=faulty,
        classes=classes,
        vectors={name: np.stack([row[3][name] for row in rows]) for name in rows[0][3]},
        partition=account.partition,
        offsets=(rows[0][1], rows[-1][1] + 1),
        labels=tuple(labels),
        source=source,
        weight=sum(len(rows_P) for _, rows_P in labels),
    )
