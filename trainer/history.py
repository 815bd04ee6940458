"""History as fitting sees it: an entity's whole stream, cut into pieces that know their past and their future.

The statistics before each piece are exact, as they do not depend on weights; its hidden state starts blank, which is
why a later piece first listens to a few rows of context that teach nothing.

N rows, R rows of a piece, A rows ahead of it, S signals, F statistics, Q rules, V event tasks, E entities.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from schemas.label import Label
from schemas.layout import Layout
from schemas.observation import Batch, Field, Float64, Int64, Status
from trainer.rows import pack
from trainer.rules import Rules, known_of
from trainer.statistics import Statistics

_ENTITIES = 256
"""Entities whose statistics advance together."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One entity's rows in time order.

    Attributes:
        values: raw units, NaN = missing, [N, S].
        time_ms: strictly ascending, [N].
        faulty: 1.0 faulty, 0.0 sound, NaN nobody said, [N].
        events: for each event task 1 yes, 0 no, -1 unknown or known already when the row came, [N, V].
    """

    values: Float64
    time_ms: Int64
    faulty: Float64
    events: Int64

    def __len__(self) -> int:
        return len(self.time_ms)

    def until(self, end: int) -> "Stream":
        """The first rows alone."""
        return Stream(self.values[:end], self.time_ms[:end], self.faulty[:end], self.events[:end])


@dataclass(frozen=True, slots=True)
class Piece:
    """R rows that are learned in one go, and the A rows that came next (fewer at the stream's end).

    Attributes:
        stream: whose they are.
        first: the first of them.
        taught: the first that is judged; those before are context.
        end: the one after the last.
        statistics: before `first`, [F, S].
        rules: scores of the stream's rows, [N, Q].
    """

    stream: Stream
    first: int
    taught: int
    end: int
    statistics: Float64
    rules: Float64


def streams_of(
    batches: Iterable[Batch], layout: Layout, faulty: Float64, outcomes: Sequence[tuple[Label, int]]
) -> dict[str, Stream]:
    """Each entity's stream; invalid rows, and rows not newer than the one before, are left out as in learning online.

    Args:
        batches: all rows, in time order.
        layout: order of signals and tasks.
        faulty: what the column `label` says of each row, by its offset.
        outcomes: labels about entities as a whole, and when each became known (epoch milliseconds).
    """
    names: list[str] = []
    parts: list[tuple[Float64, Int64, Float64]] = []
    for batch in batches:
        kept = np.flatnonzero(batch.status == Status.OK)
        names += [batch.entity[row] for row in kept.tolist()]
        parts.append((batch.values[kept], batch.time_ms[kept], faulty[batch.offset[kept]]))
    values, time_ms, told = (np.concatenate(each) for each in zip(*parts, strict=True))
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows = rows_of.setdefault(name, [])
        if not rows or time_ms[row] > time_ms[rows[-1]]:
            rows.append(row)
    about = _by_entity(outcomes)
    return {
        name: Stream(values[rows], time_ms[rows], told[rows], _events(about.get(name, ()), time_ms[rows], layout))
        for name, rows in rows_of.items()
    }


def pieces_of(streams: Sequence[Stream], layout: Layout, judged_from: Sequence[int] | None = None) -> list[Piece]:
    """Cut streams into pieces, those of one stream in order.

    Args:
        streams: the streams.
        layout: order of signals and tasks; `fitting` says how long pieces are.
        judged_from: rows of each stream before this one are context at most; None: all are judged.
    """
    starts = [0] * len(streams) if judged_from is None else judged_from
    order = sorted(range(len(streams)), key=lambda place: -len(streams[place]))
    pieces: dict[int, list[Piece]] = {}
    for group in range(0, len(order), _ENTITIES):
        places = order[group : group + _ENTITIES]
        cut = _cut([streams[place] for place in places], layout)
        pieces |= {place: list(_judged(each, starts[place])) for place, each in zip(places, cut, strict=True)}
    return [piece for place in range(len(streams)) for piece in pieces[place]]


def padded(values: Field, first: int, end: int, rest: float) -> Field:
    """Rows from `first` to before `end`; `rest` stands for those past the last."""
    found = values[first:end]
    missing = end - first - len(found)
    return np.concatenate([found, np.full((missing, *values.shape[1:]), rest, values.dtype)]) if missing else found


def _by_entity(outcomes: Sequence[tuple[Label, int]]) -> Mapping[str, Sequence[tuple[Label, int]]]:
    about: dict[str, list[tuple[Label, int]]] = {}
    for label, revealed_ms in outcomes:
        about.setdefault(label.entity, []).append((label, revealed_ms))
    return about


def _events(told: Sequence[tuple[Label, int]], time_ms: Int64, layout: Layout) -> Int64:
    place = {task.name: number for number, task in enumerate(layout.events)}
    events = np.full((len(time_ms), len(place)), -1, dtype=np.int64)
    for label, revealed_ms in told:
        events[time_ms < revealed_ms, place[label.task]] = label.value
    return events


def _cut(streams: Sequence[Stream], layout: Layout) -> list[list[Piece]]:
    """Pieces of streams that stand longest first."""
    settings, statistics, rules = layout.monitor.fitting, Statistics(layout), Rules(layout)
    stride = max(settings.piece - settings.context, 1)
    state_EFS = statistics.initial(len(streams))
    scores = [np.full((len(stream), len(layout.monitor.rules)), np.nan) for stream in streams]
    pieces: list[list[Piece]] = [[] for _ in streams]
    for first in range(0, len(streams[0]), stride):
        alive = [place for place, stream in enumerate(streams) if len(stream) > first]
        for place in alive:
            taught = first and min(first + settings.context, len(streams[place]))
            end = min(first + stride + settings.context, len(streams[place]))
            if taught < end:
                before = state_EFS[place].numpy().copy()
                pieces[place].append(Piece(streams[place], first, taught, end, before, scores[place]))
        ends = [min(first + stride, len(streams[place])) for place in alive]
        values = np.concatenate([streams[place].values[first:end] for place, end in zip(alive, ends, strict=True)])
        time_ms = np.concatenate([streams[place].time_ms[first:end] for place, end in zip(alive, ends, strict=True)])
        entity = np.repeat(np.arange(len(alive)), np.array(ends) - first)
        rows, order, entity_order = pack(entity, values, time_ms, layout)
        observed = statistics.observe(state_EFS[torch.from_numpy(np.array(alive)[entity_order])], rows)
        state_EFS[torch.from_numpy(np.array(alive)[entity_order[: len(alive)]])] = observed.statistics_EFS[: len(alive)]
        scored = np.split(rules.score(known_of(rows, observed, layout))[order], np.cumsum(np.array(ends) - first)[:-1])
        for place, end, score in zip(alive, ends, scored, strict=True):
            scores[place][first:end] = score
    return pieces


def _judged(pieces: Sequence[Piece], start: int) -> Iterator[Piece]:
    for piece in pieces:
        if piece.end > start:
            yield replace(piece, taught=max(piece.taught, start))
