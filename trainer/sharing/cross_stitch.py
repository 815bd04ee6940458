"""Cross-stitch units (Misra et al., 2016, section 3), one before and one after each task's hidden layer.

K tasks, N rows, D width.
"""

import torch
from torch import Tensor, nn

from schemas.components import ModelSettings
from trainer.sharing.hard import Hard

_OWN = 0.9
"""How much of its own a task takes at the start; the others share the rest (section 4.3: 0.9 and 0.1 of two)."""


class CrossStitch(Hard):
    """Each task goes on with a learned linear combination of all tasks' representations, the same for every row."""

    def __init__(self, tasks: int, model: ModelSettings) -> None:
        super().__init__(tasks, model)
        self.before_KK, self.after_KK = _unit(tasks), _unit(tasks)

    def forward(self, task_KND: Tensor, shared_1ND: Tensor) -> Tensor:
        """[K, N, D] to [K, N, D]."""
        return _stitch(self.after_KK, super().forward(_stitch(self.before_KK, task_KND), shared_1ND))


def _unit(tasks: int) -> nn.Parameter:
    others = (1.0 - _OWN) / max(tasks - 1, 1)
    return nn.Parameter(torch.full((tasks, tasks), others).fill_diagonal_(_OWN))


def _stitch(unit_KK: Tensor, x_KND: Tensor) -> Tensor:
    return torch.mm(unit_KK, x_KND.reshape(len(unit_KK), -1)).view_as(x_KND)
