"""When a backtest may know what: labels ordered by the stream position after which they are revealed.

N rows of the stream, in the order in which they are scored.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np

from ingest.events import Events
from ingest.outcomes import Outcome
from schemas.label import Label
from schemas.observation import Float64, Int64

Delay = int | timedelta
"""A number of the entity's own next rows, or event time."""


class Reveals:
    """Hands out each label once, as soon as its position in the stream was scored."""

    def __init__(self, labels: Sequence[tuple[int, Label]]) -> None:
        self._labels = sorted(labels, key=lambda each: each[0])
        self._next = 0

    def __len__(self) -> int:
        return len(self._labels)

    def until(self, position: int) -> list[Label]:
        """Labels revealed by rows before `position`, since the last call."""
        first = self._next
        while self._next < len(self._labels) and self._labels[self._next][0] < position:
            self._next += 1
        return [label for _, label in self._labels[first : self._next]]


def of_rows(
    events: Events, order: Int64, labels: Mapping[str, Float64 | None], delay: Delay
) -> list[tuple[int, Label]]:
    """Labels of rows, each with the position that reveals it; one past the end never is.

    A row whose time cannot be read has no place of its own in event time: its label would be taken for a neighbour's.

    Args:
        events: the rows.
        order: input row of each position.
        labels: task -> value of each input row, NaN = none; None: it has none at all.
        delay: how long after its row a label is revealed.
    """
    time_ms = events.time_ms[order]
    entity = [events.entity[row] for row in order.tolist()]
    if isinstance(delay, timedelta):
        due_N = np.searchsorted(time_ms, time_ms + round(delay / timedelta(milliseconds=1)), side="left")
        due_N = np.maximum(due_N, np.arange(len(order)))
    else:
        due_N = _rows_later(entity, delay)
    told_N = events.timed[order] & (due_N < len(order))
    found = []
    for task, label_N in labels.items():
        label = np.full(len(order), np.nan) if label_N is None else label_N[order]
        found += [
            (int(due_N[row]), Label(entity[row], task, int(time_ms[row]), int(label[row])))
            for row in np.flatnonzero(told_N & np.isfinite(label)).tolist()
        ]
    return found


def of_entities(outcomes: Sequence[Outcome], events: Events, order: Int64) -> list[tuple[int, Label]]:
    """Outcomes, each with the position of the first row at or after its time; one past the end never is."""
    due = np.searchsorted(events.time_ms[order], [outcome.revealed_ms for outcome in outcomes], side="left")
    pairs = zip(due.tolist(), outcomes, strict=True)
    return [
        (at, Label(each.entity, each.task, None, each.value, each.known_until_ms))
        for at, each in pairs
        if at < len(order)
    ]


def _rows_later(entity: Sequence[str], rows: int) -> Int64:
    """Position of each row's `rows`-th next row of the same entity; the stream's length where there is none."""
    positions: dict[str, list[int]] = {}
    for position, name in enumerate(entity):
        positions.setdefault(name, []).append(position)
    due_N = np.full(len(entity), len(entity), dtype=np.int64)
    for mine in positions.values():
        due_N[mine[: max(len(mine) - rows, 0)]] = mine[rows:]
    return due_N
