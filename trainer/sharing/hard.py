"""Hard sharing (Caruana, 1997): everything up to the fusion is one for all tasks; then a hidden layer each, or one.

K tasks, N rows, D width.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.components import ModelSettings


class Hard(nn.Module):
    """One hidden layer per task: the private capacity that shared representations lack."""

    shared_queries: ClassVar[int] = 0

    def __init__(self, tasks: int, model: ModelSettings) -> None:
        super().__init__()
        bound = model.width**-0.5
        self.weight_KDD = nn.Parameter(torch.empty(tasks, model.width, model.width).uniform_(-bound, bound))
        self.bias_K1D = nn.Parameter(torch.zeros(tasks, 1, model.width))

    def forward(self, task_KND: Tensor, _shared_1ND: Tensor) -> Tensor:
        """[K, N, D] to [K, N, D]."""
        return functional.gelu(torch.baddbmm(self.bias_K1D, task_KND, self.weight_KDD))


class HardAll(nn.Module):
    """One hidden layer for all tasks: their queries and heads alone are their own."""

    shared_queries: ClassVar[int] = 0

    def __init__(self, _tasks: int, model: ModelSettings) -> None:
        super().__init__()
        self.linear = nn.Linear(model.width, model.width)

    def forward(self, task_KND: Tensor, _shared_1ND: Tensor) -> Tensor:
        """[K, N, D] to [K, N, D]."""
        return functional.gelu(self.linear(task_KND))
