"""Packed rows: a micro-batch of ragged event streams as waves, the one form that serving and training share.

Wave w holds the w-th row of every entity that has one. Entities stand in descending order of their row count, so
wave w holds entities 0..size_w-1 and the row before row n of wave w is n - size_(w-1). Every wave is padded to a
multiple of 32 rows with absent rows: products and element-wise kernels were measured to be bit-identical for any
grouping of a stream into batches when row counts are multiples of 32 (16 leaves scalar tails in sigmoid, softplus and
sums over the first axis).

N rows, E entities, S signals, B windows, T rows of a window.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from schemas.layout import Layout
from schemas.observation import NO_VECTORS, Bool, Field, Float64, Int64

MULTIPLE = 32
"""Row counts are padded to this."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in wave order.

    Attributes:
        value_NS: float64, model scale (logarithm where the transform says so), NaN = missing.
        time_N: float64, seconds since the epoch; 0 on padding.
        waves: padded wave sizes, non-increasing; their sum is N, the first is E.
        real_N: bool, False on padding.
        final_E: int64, the entity's last real row; -1 = none (a padding entity).
        vectors: modality -> its frames, [N, C, H, W] uint8, or embeddings, [N, P] float32.
    """

    value_NS: Tensor
    time_N: Tensor
    waves: tuple[int, ...]
    real_N: Tensor
    final_E: Tensor
    vectors: Mapping[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device) -> "Rows":
        """The same on a device."""
        return Rows(
            value_NS=self.value_NS.to(device),
            time_N=self.time_N.to(device),
            waves=self.waves,
            real_N=self.real_N.to(device),
            final_E=self.final_E.to(device),
            vectors={name: vector.to(device) for name, vector in self.vectors.items()},
        )

    def before(self, after: Tensor, state: Tensor, dim: int = 0) -> Tensor:
        """What stood before each row: `after` (N along `dim`) at the entity's previous row, else its state."""
        if len(self.waves) == 1:
            return state
        whole = after.split(list(self.waves), dim)
        kept = [wave.narrow(dim, 0, size) for wave, size in zip(whole, self.waves[1:], strict=False)]
        return torch.cat([state, *kept], dim)

    def final(self, after_NX: Tensor, state_EX: Tensor) -> Tensor:
        """`after_NX` at each entity's last real row, else its state. [E, ...]."""
        known_E = (self.final_E >= 0).view(-1, *[1] * (state_EX.dim() - 1))
        return torch.where(known_E, after_NX.index_select(0, self.final_E.clamp(min=0)), state_EX)

    def latest(self, after: Tensor, dim: int = 0) -> Tensor:
        """`after` at each entity's last row, padding included: for what padding carries on unchanged. E along `dim`."""
        if len(self.waves) == 1:
            return after
        whole = after.split(list(self.waves), dim)
        ends = [*self.waves[1:], 0]
        tails = [wave.narrow(dim, end, wave.shape[dim] - end) for wave, end in zip(whole, ends, strict=True)]
        return torch.cat(tails[::-1], dim)


def by_wave(waves: tuple[int, ...], tensors: Sequence[Tensor], dim: int) -> Iterator[Sequence[Tensor]]:
    """Each wave's part of tensors with N along `dim`; a single wave is taken whole, since splitting costs as a step."""
    if len(waves) == 1:
        return iter([tensors])
    return zip(*(each.split(list(waves), dim) for each in tensors), strict=True)


def pack(
    entity_index: Int64,
    values: Float64,
    time_ms: Int64,
    layout: Layout,
    vectors: Mapping[str, Field] = NO_VECTORS,
) -> tuple[Rows, Int64, Int64]:
    """Pack a batch.

    Args:
        entity_index: [N], entities numbered from 0 in order of first appearance; rows of one entity in time order.
        values: [N, S] raw units, NaN = missing.
        time_ms: [N] epoch milliseconds.
        layout: column order.
        vectors: as in `Batch`, of the same rows.

    Returns:
        The rows; `order` [N], the packed row of each input row; `entity_order` [E], the input entity of each packed
        one. E is padded: entries past the real entities repeat entity 0 and must not be written back.
    """
    counts = np.bincount(entity_index)
    entity_order = np.argsort(-counts, kind="stable")
    position = np.empty_like(entity_order)
    position[entity_order] = np.arange(len(entity_order))
    sizes = np.cumsum(np.bincount(counts, minlength=counts.max() + 1)[::-1])[::-1][1:]
    padded = -(-sizes // MULTIPLE) * MULTIPLE
    starts = np.concatenate([[0], np.cumsum(padded)])
    order = starts[_rank(entity_index, counts)] + position[entity_index]
    value_NS = np.full((starts[-1], values.shape[1]), np.nan)
    time_N = np.zeros(starts[-1])
    real_N = np.zeros(starts[-1], dtype=np.bool_)
    value_NS[order], time_N[order], real_N[order] = to_model(values, layout), time_ms / 1000.0, True
    final_E = np.full(padded[0], -1, dtype=np.int64)
    final_E[: len(counts)] = starts[counts[entity_order] - 1] + np.arange(len(counts))
    whole = np.zeros(padded[0], dtype=np.int64)
    whole[: len(entity_order)] = entity_order
    rows = _rows(value_NS, time_N, real_N, final_E, tuple(padded.tolist()))
    moved = {name: torch.from_numpy(placed(vector, order, len(real_N), 0)) for name, vector in vectors.items()}
    return replace(rows, vectors=moved), order, whole


def placed(values: Field, order: Int64, n: int, rest: float) -> Field:
    """Values moved to their packed rows, n of them; `rest` everywhere else.

    Args:
        values: of the rows as they were packed.
        order: as `pack` gives it.
        n: packed rows.
        rest: what stands on the others.
    """
    moved = np.full((n, *values.shape[1:]), rest, dtype=values.dtype)
    moved[order] = values
    return moved


def parts(lengths: Sequence[int], order: Int64, n: int) -> Field:
    """What each packed row is of its piece, one over the piece's rows, [n]; 0 on padding.

    Args:
        lengths: rows of each piece, in the order in which they were packed.
        order: as `pack` gives it.
        n: packed rows.
    """
    return placed(np.repeat(1.0 / np.array(lengths, dtype=np.float32), lengths), order, n, 0.0)


def windows(value_BTS: Float64, time_BT: Float64) -> Rows:
    """Equally long windows as rows, wave t holding their t-th rows; B is padded.

    Args:
        value_BTS: model scale, NaN = missing.
        time_BT: seconds since the epoch.
    """
    b, t, s = value_BTS.shape
    e = -(-b // MULTIPLE) * MULTIPLE
    value_TES, time_TE = np.full((t, e, s), np.nan), np.zeros((t, e))
    real_TE = np.zeros((t, e), dtype=np.bool_)
    value_TES[:, :b], time_TE[:, :b], real_TE[:, :b] = value_BTS.swapaxes(0, 1), time_BT.T, True
    final_E = np.full(e, -1, dtype=np.int64)
    final_E[:b] = (t - 1) * e + np.arange(b)
    return _rows(value_TES.reshape(t * e, s), time_TE.reshape(-1), real_TE.reshape(-1), final_E, (e,) * t)


def to_model(values: Float64, layout: Layout) -> Float64:
    """Raw units to model scale, [..., S] or the first columns only; what has no logarithm becomes NaN."""
    logarithmic = np.array(layout.logarithmic)[: values.shape[-1]]
    if not logarithmic.any():
        return values
    logs = np.log(np.where(logarithmic & (values > 0), values, np.nan))
    return np.where(logarithmic, logs, values)


def to_raw(values: Float64, layout: Layout, n_signals: int | None = None) -> Float64:
    """Model scale back to raw units; signals are the second axis, [N, S, ...]. `n_signals`: the first columns only."""
    logarithmic = np.array(layout.logarithmic)[:n_signals]
    if not logarithmic.any():
        return values
    shaped = logarithmic.reshape(1, -1, *[1] * (values.ndim - 2))
    return np.where(shaped, np.exp(np.where(shaped, values, 0.0)), values)


def _rank(entity_index: Int64, counts: Int64) -> Int64:
    by_entity = np.argsort(entity_index, kind="stable")
    rank = np.empty_like(by_entity)
    rank[by_entity] = np.arange(len(by_entity)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank


def _rows(value_NS: Float64, time_N: Float64, real_N: Bool, final_E: Int64, waves: tuple[int, ...]) -> Rows:
    return Rows(
        value_NS=torch.from_numpy(value_NS),
        time_N=torch.from_numpy(time_N),
        waves=waves,
        real_N=torch.from_numpy(real_N),
        final_E=torch.from_numpy(final_E),
    )
