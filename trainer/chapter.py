"""A chapter: pieces of history as the rows and targets of one step of fitting, for all tasks together.

Injected faults stand on copies of some pieces, which teach the anomaly task alone.

P pieces, copies included, N rows of the chapter, S signals, F statistics, E packed entities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from schemas.layout import Layout
from schemas.observation import Bool, Field, Float64, Int64
from schemas.task import Task
from trainer.ahead import came_at, classes_ahead
from trainer.history import Piece, padded
from trainer.inject import follow, inject_some
from trainer.losses import Targets
from trainer.network import Network, State
from trainer.rows import Rows, pack, parts, placed, to_model
from trainer.windows import rows_ahead

_COPIED = 0.3
"""Share of pieces that are copied with faults, one at least: a copy costs what its piece costs."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One step's input.

    Attributes:
        rows: the packed rows.
        statistics_EFS: before each packed entity's first row.
        targets: per packed row.
        clean_N: bool, rows that were really observed and are judged.
        piece_N: the piece of each packed row; 0 on padding.
        pieces: P.
        window_N: the window of each packed row, `training.window` rows of a piece; 0 on padding.
        windows: how many windows there are.
        shown_NS: 0 where a signal is hidden from the private paths of event tasks, else 1; None: nothing is.
    """

    rows: Rows
    statistics_EFS: Tensor
    targets: Targets
    clean_N: Tensor
    piece_N: Tensor
    pieces: int
    window_N: Tensor
    windows: int
    shown_NS: Tensor | None = None

    def start(self, network: Network) -> State:
        """The state before the chapter: exact statistics, hidden states of entities never seen."""
        return network.initial(self.rows.waves[0]) | {"statistics": self.statistics_EFS}

    def to(self, device: torch.device) -> "Chapter":
        """The same on a device."""
        return Chapter(
            rows=self.rows.to(device),
            statistics_EFS=self.statistics_EFS.to(device),
            targets=self.targets.to(device),
            clean_N=self.clean_N.to(device),
            piece_N=self.piece_N.to(device),
            pieces=self.pieces,
            window_N=self.window_N.to(device),
            windows=self.windows,
            shown_NS=None if self.shown_NS is None else self.shown_NS.to(device),
        )


def chapter_of(
    pieces: Sequence[Piece],
    layout: Layout,
    rng: np.random.Generator,
    hide: float = 0.0,
    hide_from_events: float = 0.0,
) -> Chapter:
    """Make a chapter to learn from.

    Args:
        pieces: what it is about.
        layout: order of signals and tasks.
        rng: draws faults, and what is hidden.
        hide: share of each piece's signals that are left out: a feed that is not there is met before it happens.
        hide_from_events: share of each row's signals that event tasks' private paths do not see.
    """
    shown = [_shown(piece, rng, hide) for piece in pieces]
    chapter = _chapter(pieces, shown, dict.fromkeys(copied_among(len(pieces), rng), rng), layout)
    if not (layout.events and hide_from_events):
        return chapter
    return replace(chapter, shown_NS=_drawn(rng, chapter.rows.value_NS.shape, hide_from_events))


def judged_chapter(pieces: Sequence[Piece], layout: Layout, faults: Mapping[int, np.random.Generator]) -> Chapter:
    """Make a chapter that hides nothing.

    Args:
        pieces: what it is about.
        layout: order of signals and tasks.
        faults: the places of the pieces that are copied with faults -> what draws each one's.
    """
    return _chapter(pieces, [_values(piece) for piece in pieces], faults, layout)


def copied_among(pieces: int, rng: np.random.Generator) -> list[int]:
    """Places of the pieces that are copied with faults."""
    places: list[int] = rng.permutation(pieces)[: max(round(_COPIED * pieces), 1)].tolist()
    return places


def _chapter(
    pieces: Sequence[Piece], shown: Sequence[Float64], faults: Mapping[int, np.random.Generator], layout: Layout
) -> Chapter:
    broken = [(each, _broken(shown[each], layout, rng)) for each, rng in faults.items()]
    copies = [(each, found) for each, found in broken if found is not None]
    values = [*shown, *(found[0] for _, found in copies)]
    vectors = [_vectors(piece) for piece in pieces]
    vectors += [follow(vectors[each], shown[each], found[0], layout) for each, found in copies]
    whose = [*range(len(pieces)), *(each for each, _ in copies)]
    window = _windows([len(each) for each in values], layout.monitor.training.window)
    piece = np.repeat(np.arange(len(whose)), [len(each) for each in values])
    time_ms = np.concatenate([pieces[each].stream.time_ms[pieces[each].first : pieces[each].end] for each in whose])
    stacked = {name: np.concatenate([each[name] for each in vectors]) for name in layout.vectors}
    rows, order, entity_order = pack(piece, np.concatenate(values), time_ms, layout, stacked)
    n, observed = len(rows.real_N), sum(map(len, shown))
    judged = np.concatenate([np.arange(pieces[each].first, pieces[each].end) >= pieces[each].taught for each in whose])
    faulty = [np.nan_to_num(each.stream.faulty[each.first : each.end]) for each in pieces]
    faulty += [found[1].astype(np.float64) for _, found in copies]
    statistics = np.stack([pieces[each].statistics for each in whose])
    clean = placed(judged[:observed], order[:observed], n, False)
    return Chapter(
        rows=rows,
        statistics_EFS=torch.from_numpy(statistics[entity_order]),
        targets=Targets(
            future_NSH=torch.from_numpy(_futures(pieces, clean, order[:observed], layout)),
            faulty_N=torch.from_numpy(placed(np.concatenate(faulty).astype(np.float32), order, n, 0.0)),
            known_N=torch.from_numpy(placed(judged, order, n, False)),
            classes=tuple(map(torch.from_numpy, _classes(pieces, clean, order[:observed], layout))),
            part_N=torch.from_numpy(parts([len(each) for each in values], order, n)),
        ),
        clean_N=torch.from_numpy(clean),
        piece_N=torch.from_numpy(placed(piece, order, n, 0)),
        pieces=len(whose),
        window_N=torch.from_numpy(placed(window, order, n, 0)),
        windows=int(window[-1]) + 1,
    )


def _vectors(piece: Piece) -> dict[str, Field]:
    return {name: vector[piece.first : piece.end] for name, vector in piece.stream.vectors.items()}


def _windows(lengths: Sequence[int], length: int) -> Int64:
    """Numbers of the windows that rows stand in, none of them in two pieces, [N]."""
    starts = np.cumsum([0, *(-(-each // length) for each in lengths[:-1])])
    return np.concatenate([start + np.arange(each) // length for start, each in zip(starts, lengths, strict=True)])


def _values(piece: Piece) -> Float64:
    return piece.stream.values[piece.first : piece.end]


def _shown(piece: Piece, rng: np.random.Generator, hide: float) -> Float64:
    values = _values(piece)
    if not hide:
        return values
    return np.where(rng.random(values.shape[1]) < hide, np.nan, values)


def _drawn(rng: np.random.Generator, shape: Sequence[int], hidden: float) -> Tensor:
    return torch.from_numpy((rng.random(shape, dtype=np.float32) >= hidden).astype(np.float32))


def _broken(values: Float64, layout: Layout, rng: np.random.Generator) -> tuple[Float64, Bool] | None:
    length = layout.monitor.training.window
    return inject_some([values[first : first + length] for first in range(0, len(values), length)], layout, rng)


def _futures(pieces: Sequence[Piece], clean: Bool, order: Int64, layout: Layout) -> Float64:
    """What came at each horizon, model scale; NaN on rows that are not judged. [N, S, H]."""
    found = [_future(piece, layout) for piece in pieces]
    future = placed(np.concatenate(found), order, len(clean), np.nan)
    future[~clean] = np.nan
    return future


def _future(piece: Piece, layout: Layout) -> Float64:
    """[R, S, H] of one piece."""
    length, until = piece.end - piece.first, piece.end + rows_ahead(layout)
    values = to_model(padded(piece.stream.values, piece.first, until, np.nan), layout)[None, :, : layout.n_targets]
    time_ms = padded(piece.stream.time_ms, piece.first, until, piece.stream.time_ms[-1])[None]
    return np.stack([came_at(values, time_ms, length, each)[0] for each in layout.forecast.horizons], axis=-1)


def _classes(pieces: Sequence[Piece], clean: Bool, order: Int64, layout: Layout) -> list[Int64]:
    """Of every state and event task, [N]; -1 where unknown, not judged, or not yet over."""
    told = [_come_true(pieces, place, task, layout) for place, task in enumerate(layout.choices)]
    return [np.where(clean, placed(each, order, len(clean), -1), -1) for each in told]


def _come_true(pieces: Sequence[Piece], place: int, task: Task, layout: Layout) -> Int64:
    """By its rule, or as it was told."""
    if task.target is not None:
        return np.concatenate([_worst(piece, task, layout) for piece in pieces])
    return np.concatenate([piece.stream.classes[piece.first : piece.end, place] for piece in pieces])


def _worst(piece: Piece, task: Task, layout: Layout) -> Int64:
    """A state task's class at each row of a piece, [R]."""
    assert task.target is not None
    length = piece.end - piece.first
    scores = padded(piece.rules, piece.first, piece.end + rows_ahead(layout), np.nan)[None]
    left = len(piece.stream) - 1 - np.arange(piece.first, piece.end)
    return np.where(left < task.target.within, -1, classes_ahead(task, scores, length, layout)[0])
