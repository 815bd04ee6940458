"""History as fitting sees it: an entity's whole stream, cut into pieces that know their past and their future.

The statistics before each piece are exact, as they do not depend on weights; its hidden state starts blank, which is
why a later piece first listens to a few rows of context that teach nothing.

N rows, R rows of a piece, A rows ahead of it, S signals, F statistics, Q rules, K state and event tasks, E entities.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from schemas.label import Label
from schemas.layout import Layout
from schemas.observation import Batch, Field, Float64, Int64, Status
from trainer.ahead import came_within
from trainer.rows import pack
from trainer.rule_inputs import known_of
from trainer.rules import Rules
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
        classes: of each state and event task what was told of it, -1 nothing, or nothing new to the row, [N, K].
        vectors: modality -> frames or embeddings, [N, ...].
    """

    values: Float64
    time_ms: Int64
    faulty: Float64
    classes: Int64
    vectors: Mapping[str, Field]

    def __len__(self) -> int:
        return len(self.time_ms)

    def until(self, end: int) -> "Stream":
        """The first rows alone."""
        vectors = {name: vector[:end] for name, vector in self.vectors.items()}
        return Stream(self.values[:end], self.time_ms[:end], self.faulty[:end], self.classes[:end], vectors)


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
    batches: Iterable[Batch],
    layout: Layout,
    labels: Mapping[str, Float64],
    outcomes: Sequence[tuple[Label, int]],
) -> dict[str, Stream]:
    """Each entity's stream; invalid rows, and rows not newer than the one before, are left out as in learning online.

    Args:
        batches: all rows, in time order.
        layout: order of signals and tasks.
        labels: task -> what was told of each row, by its offset, NaN = nothing, of the anomaly task and of states.
        outcomes: labels about entities as a whole, and when each became known (epoch milliseconds).
    """
    kept = [(batch, np.flatnonzero(batch.status == Status.OK)) for batch in batches]
    names = [batch.entity[row] for batch, rows in kept for row in rows.tolist()]
    values, time_ms, offset = (
        np.concatenate([getattr(batch, part)[rows] for batch, rows in kept]) for part in ("values", "time_ms", "offset")
    )
    vectors = {name: np.concatenate([batch.vectors[name][rows] for batch, rows in kept]) for name in layout.vectors}
    about, classes = _by_entity(outcomes), _told(labels, offset, layout)
    faulty = labels.get(layout.anomaly.name, np.full(offset.max(initial=-1) + 1, np.nan))[offset]
    found = {}
    for name, rows in _ascending(names, time_ms).items():
        _settle(classes, rows, time_ms[rows], about.get(name, ()), layout)
        mine = {modality: vector[rows] for modality, vector in vectors.items()}
        found[name] = Stream(values[rows], time_ms[rows], faulty[rows], classes[rows], mine)
    return found


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


def _ascending(names: Sequence[str], time_ms: Int64) -> dict[str, list[int]]:
    """Each entity's rows, those left out that are not newer than the one before."""
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows = rows_of.setdefault(name, [])
        if not rows or time_ms[row] > time_ms[rows[-1]]:
            rows.append(row)
    return rows_of


def _told(labels: Mapping[str, Float64], offset: Int64, layout: Layout) -> Int64:
    """Classes of rows that were labelled one by one, [N, K]."""
    classes = np.full((len(offset), len(layout.choices)), -1, dtype=np.int64)
    for place, task in enumerate(layout.choices):
        if task.name in labels:
            classes[:, place] = np.nan_to_num(labels[task.name][offset], nan=-1.0)
    return classes


def _settle(classes: Int64, rows: list[int], time_ms: Int64, told: Sequence[tuple[Label, int]], layout: Layout) -> None:
    """Write what outcomes say of an entity's rows: those before they became known."""
    place = {task.name: number for number, task in enumerate(layout.choices)}
    for label, revealed_ms in told:
        within, column = layout.choices[place[label.task]].within, classes[rows, place[label.task]]
        if within is None:
            column[time_ms < revealed_ms] = label.value
        else:
            assert label.until_ms is not None
            came = came_within(time_ms, within, label.until_ms, happened=label.value > 0)
            column = np.where((came >= 0) & (column < 0), came, column)
        classes[rows, place[label.task]] = column


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
