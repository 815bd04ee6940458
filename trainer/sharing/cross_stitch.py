"""Cross-stitch units (Misra et al., 2016, section 3), one before and one after each task's hidden layer.

K tasks, N rows, D width.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.components import ModelSettings

_OWN = 0.9
"""How much of its own a task takes at the start; the others share the rest (section 4.3: 0.9 and 0.1 of two)."""


class CrossStitch(nn.Module):
    """Each task goes on with a learned linear combination of all tasks' representations, the same for every row."""

    shared_queries: ClassVar[int] = 0

    def __init__(self, tasks: int, model: ModelSettings) -> None:
        super().__init__()
        bound = model.width**-0.5
        self.weight_KDD = nn.Parameter(torch.empty(tasks, model.width, model.width).uniform_(-bound, bound))
        self.bias_K1D = nn.Parameter(torch.zeros(tasks, 1, model.width))
        self.before_KK, self.after_KK = _unit(tasks), _unit(tasks)

    def forward(self, task_KND: Tensor, _shared_1ND: Tensor) -> Tensor:
        """[K, N, D] to [K, N, D]."""
        stitched_KND = _stitch(self.before_KK, task_KND)
        return _stitch(self.after_KK, functional.gelu(torch.baddbmm(self.bias_K1D, stitched_KND, self.weight_KDD)))


def _unit(tasks: int) -> nn.Parameter:
    others = (1.0 - _OWN) / max(tasks - 1, 1)
    return nn.Parameter(torch.full((tasks, tasks), others).fill_diagonal_(_OWN))


def _stitch(unit_KK: Tensor, x_KND: Tensor) -> Tensor:
    return torch.mm(unit_KK, x_KND.reshape(len(unit_KK), -1)).view_as(x_KND)
