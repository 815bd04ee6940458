"""Recurrences over packed rows: x moves on wave by wave, what it moves by is computed flat before.

F recurrences, E entities, N rows, S columns.
"""

import torch
from torch import Tensor

from trainer.rows import by_wave


def affine(waves: tuple[int, ...], x_FES: Tensor, keep_FNS: Tensor, add_FNS: Tensor, after_FNS: Tensor) -> None:
    """X = x * keep + add, wave by wave, into `after_FNS`."""
    for keep, add, after in by_wave(waves, (keep_FNS, add_FNS, after_FNS), 1):
        torch.addcmul(add, x_FES[:, : add.shape[1]], keep, out=after)
        x_FES = after


def maximum(waves: tuple[int, ...], x_FES: Tensor, new_FNS: Tensor, after_FNS: Tensor) -> None:
    """X = max(x, new), wave by wave, into `after_FNS`."""
    for new, after in by_wave(waves, (new_FNS, after_FNS), 1):
        torch.maximum(x_FES[:, : new.shape[1]], new, out=after)
        x_FES = after
