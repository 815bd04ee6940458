"""Multi-task attention (MTAN; Liu et al., 2019, section 3.1.2): each task masks shared features, softly.

K tasks, N rows, D width.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.components import ModelSettings


class Mtan(nn.Module):
    """mask = sigmoid(B gelu(A [shared, task])), over the features of a layer that all tasks share."""

    shared_queries: ClassVar[int] = 1

    def __init__(self, tasks: int, model: ModelSettings) -> None:
        super().__init__()
        self.features = nn.Linear(model.width, model.width)
        self.from_shared_KDD, self.from_task_KDD, self.mask_KDD = (_layer(tasks, model.width) for _ in range(3))
        self.inner_K1D, self.outer_K1D = (nn.Parameter(torch.zeros(tasks, 1, model.width)) for _ in range(2))

    def forward(self, task_KND: Tensor, shared_1ND: Tensor) -> Tensor:
        """[K, N, D] and [1, N, D] to [K, N, D]."""
        seen_KND = torch.baddbmm(self.inner_K1D, shared_1ND.expand_as(task_KND), self.from_shared_KDD)
        inner_KND = functional.gelu(torch.baddbmm(seen_KND, task_KND, self.from_task_KDD))
        mask_KND = torch.baddbmm(self.outer_K1D, inner_KND, self.mask_KDD).sigmoid()
        return mask_KND * functional.gelu(self.features(shared_1ND))


def _layer(tasks: int, width: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(tasks, width, width).uniform_(-(width**-0.5), width**-0.5))
