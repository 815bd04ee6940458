"""A lesson: the rows, targets and origin of one training step.

Windows of one entity that wait together are learned in one piece, so that each starts from the state in which the
one before it ended. Injected faults stand on copies of these pieces, which teach the anomaly task alone. A lesson in
hindsight is made of labelled pieces instead, which start from a blank state and teach what their labels are about.

L rows of a window, A rows ahead, N rows of the lesson, S signals that are forecast, H horizons, P pieces,
W windows (in hindsight each piece is one).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from schemas.label import Label
from schemas.layout import Layout, no_vectors
from schemas.observation import Bool, Field, Float64, Int64, Partition, Ranges
from trainer.ahead import came_at, classes_ahead
from trainer.inject import follow, inject_some
from trainer.losses import Targets
from trainer.piece import Piece
from trainer.rows import Rows, pack, parts, placed, to_model
from trainer.windows import Window


@dataclass(frozen=True, slots=True)
class Lesson:
    """One step's input.

    Attributes:
        rows: the packed rows.
        slots_E: state slot of each packed entity, padding included; None: all start from a blank state.
        clean_E: packed entities whose end state is the slot's next start state.
        targets: per packed row.
        window_N: the window of each packed row; 0 on padding.
        windows: how many windows there are, copies included.
        fresh: the first so many were never learned from; what was replayed judges nothing.
        events: rows that were observed (copies not counted).
        values: of those rows, raw units, [events, S].
        ranges: offsets the lesson came from, [first, next).
        told: each label that is taught for the first time, and the packed rows that it is about.
    """

    rows: Rows
    slots_E: Int64 | None
    clean_E: Int64
    targets: Targets
    window_N: Tensor
    windows: int
    fresh: int
    events: int
    values: Float64
    ranges: Ranges
    told: Sequence[tuple[Label, Tensor]] = ()

    def to(self, device: torch.device) -> "Lesson":
        """What the network reads of it on a device."""
        return replace(
            self, rows=self.rows.to(device), targets=self.targets.to(device), window_N=self.window_N.to(device)
        )

    @property
    def judged(self) -> Targets:
        """Targets of what was never learned from: weights that know the answer say nothing about foresight."""
        return self.targets if self.fresh == self.windows else self.targets.among(self.window_N < self.fresh)


def lesson_of(windows: Sequence[Window], layout: Layout, rng: np.random.Generator) -> Lesson:
    """Make a lesson of windows that stand in time order within each slot."""
    pieces: dict[int, list[Window]] = {}
    for window in windows:
        pieces.setdefault(window.slot, []).append(window)
    length = layout.monitor.training.window
    copies = [(slot, broken) for slot, piece in pieces.items() if (broken := _broken(piece, layout, rng)) is not None]
    values = [_rows(piece, length) for piece in pieces.values()] + [broken[0] for _, broken in copies]
    chains = [*pieces.values(), *(pieces[slot] for slot, _ in copies)]
    faulty = [np.zeros(len(value), dtype=np.bool_) for value in values[: len(pieces)]]
    faulty += [broken[1] for _, broken in copies]
    entity = np.repeat(np.arange(len(chains)), [len(value) for value in values])
    time_ms = np.concatenate([window.time_ms[:length] for chain in chains for window in chain])
    vectors = _stacked([*(_vectors(chain, length) for chain in pieces.values()), *(broken[2] for _, broken in copies)])
    rows, order, entity_order = pack(entity, np.concatenate(values), time_ms, layout, vectors)
    slots = np.array([*pieces, *(slot for slot, _ in copies)], dtype=np.int64)
    count = sum(map(len, chains))
    learned = [window for piece in pieces.values() for window in piece]
    return Lesson(
        rows=rows,
        slots_E=slots[entity_order],
        clean_E=np.flatnonzero(entity_order[: len(chains)] < len(pieces)),
        targets=_targets(learned, np.concatenate(faulty), rows.real_N, order, layout),
        window_N=torch.from_numpy(placed(np.repeat(np.arange(count), length), order, len(rows.real_N), 0)),
        windows=count,
        fresh=count,
        events=len(windows) * length,
        values=np.concatenate([window.values[:length] for window in learned]),
        ranges=_ranges(windows),
    )


def hindsight_lesson(fresh: Sequence[Piece], replayed: Sequence[Piece], layout: Layout) -> Lesson:
    """Make a lesson of labelled pieces."""
    pieces = [*fresh, *replayed]
    piece = np.repeat(np.arange(len(pieces)), [len(each.time_ms) for each in pieces])
    values, time_ms = (np.concatenate([getattr(each, name) for each in pieces]) for name in ("values", "time_ms"))
    rows, order, _ = pack(piece, values, time_ms, layout, _stacked([each.vectors for each in pieces]))
    n = len(rows.real_N)
    return Lesson(
        rows=rows,
        slots_E=None,
        clean_E=np.empty(0, dtype=np.int64),
        targets=_told(pieces, order, n, layout),
        window_N=torch.from_numpy(placed(piece, order, n, 0)),
        windows=len(pieces),
        fresh=len(fresh),
        events=0,
        values=np.empty((0, len(layout.signals))),
        ranges=_ranges(fresh),
        told=_labels(fresh, order),
    )


def blank_lesson(layout: Layout) -> Lesson:
    """One row of nobody, with nothing in it: for a rank that has no windows while others step."""
    nobody, s = np.zeros(1, dtype=np.int64), len(layout.signals)
    rows, *_ = pack(nobody, np.full((1, s), np.nan), nobody, layout, no_vectors(layout, 1))
    n = len(rows.real_N)
    return Lesson(
        rows=rows,
        slots_E=None,
        clean_E=np.empty(0, dtype=np.int64),
        targets=Targets(
            future_NSH=torch.full((n, layout.n_targets, len(layout.forecast.horizons)), torch.nan, dtype=torch.float64),
            faulty_N=torch.zeros(n),
            known_N=torch.zeros(n, dtype=torch.bool),
            classes=tuple(torch.full((n,), -1) for _ in layout.choices),
        ),
        window_N=torch.zeros(n, dtype=torch.int64),
        windows=1,
        fresh=0,
        events=0,
        values=np.empty((0, s)),
        ranges={},
    )


def _labels(pieces: Sequence[Piece], order: Int64) -> list[tuple[Label, Tensor]]:
    first = np.cumsum([0, *(len(piece.time_ms) for piece in pieces)])
    return [
        (label, torch.from_numpy(order[start + rows]))
        for start, piece in zip(first, pieces, strict=False)
        for label, rows in piece.labels
    ]


def _told(pieces: Sequence[Piece], order: Int64, n: int, layout: Layout) -> Targets:
    """What the labels say; nothing else is taught."""
    faulty = np.concatenate([each.faulty for each in pieces])
    classes = np.concatenate([each.classes for each in pieces])
    return Targets(
        future_NSH=torch.full((n, layout.n_targets, len(layout.forecast.horizons)), torch.nan, dtype=torch.float64),
        faulty_N=torch.from_numpy(placed(np.nan_to_num(faulty).astype(np.float32), order, n, 0.0)),
        known_N=torch.from_numpy(placed(~np.isnan(faulty), order, n, False)),
        classes=tuple(torch.from_numpy(placed(told, order, n, -1)) for told in classes.T),
        part_N=torch.from_numpy(parts([len(each.time_ms) for each in pieces], order, n)),
    )


def _broken(
    piece: list[Window], layout: Layout, rng: np.random.Generator
) -> tuple[Float64, Bool, Mapping[str, Field]] | None:
    """A copy of a piece with a fault in some of its windows: values, faulty rows, vectors; None if none was drawn."""
    length = layout.monitor.training.window
    drawn = inject_some([window.values[:length] for window in piece], layout, rng)
    if drawn is None:
        return None
    return *drawn, follow(_vectors(piece, length), _rows(piece, length), drawn[0], layout)


def _rows(piece: list[Window], length: int) -> Float64:
    return np.concatenate([window.values[:length] for window in piece])


def _vectors(piece: list[Window], length: int) -> dict[str, Field]:
    return _stacked([{name: vector[:length] for name, vector in window.vectors.items()} for window in piece])


def _stacked(parts: Sequence[Mapping[str, Field]]) -> dict[str, Field]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _targets(windows: Sequence[Window], faulty: Bool, real_N: Tensor, order: Int64, layout: Layout) -> Targets:
    """Targets of the clean windows, which come first; on the copies only the fault is known."""
    n, length = len(real_N), layout.monitor.training.window
    values = to_model(np.stack([window.values for window in windows]), layout)[..., : layout.n_targets]
    time_ms = np.stack([window.time_ms for window in windows])
    future = np.stack([came_at(values, time_ms, length, horizon) for horizon in layout.forecast.horizons], axis=-1)
    scores = np.stack([window.rules for window in windows])
    clean = order[: len(windows) * length]
    classes = [classes_ahead(task, scores, length, layout).reshape(-1) for task in layout.states]
    untold = [np.full(len(clean), -1, dtype=np.int64) for _ in layout.events]
    return Targets(
        future_NSH=torch.from_numpy(placed(future.reshape(-1, *future.shape[2:]), clean, n, np.nan)),
        faulty_N=torch.from_numpy(placed(faulty.astype(np.float32), order, n, 0.0)),
        known_N=real_N,
        classes=tuple(torch.from_numpy(placed(each, clean, n, -1)) for each in [*classes, *untold]),
    )


def merged(*ranges: Ranges) -> dict[Partition, tuple[int, int]]:
    """From the first offset of any to the last."""
    found: dict[Partition, tuple[int, int]] = {}
    for partition, (first, after) in chain.from_iterable(each.items() for each in ranges):
        least, most = found.get(partition, (first, after))
        found[partition] = (min(first, least), max(after, most))
    return found


def _ranges(windows: Sequence[Window | Piece]) -> dict[Partition, tuple[int, int]]:
    return merged(*({window.partition: window.offsets} for window in windows))
