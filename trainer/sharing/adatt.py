"""Adaptive task-to-task fusion (AdaTT; Li et al., 2023, section 3): each task's expert, plus a mixture of all tasks'.

K tasks, N rows, D width.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from schemas.components import ModelSettings
from trainer.sharing.experts import experts, mixture, new_experts, new_gate


class AdaTT(nn.Module):
    """Two levels, one native expert per task in each."""

    shared_queries: ClassVar[int] = 0

    def __init__(self, tasks: int, model: ModelSettings) -> None:
        super().__init__()
        self.first, self.second = _Level(tasks, model.width), _Level(tasks, model.width)

    def forward(self, task_KND: Tensor, _shared_1ND: Tensor) -> Tensor:
        """[K, N, D] to [K, N, D]."""
        fused_KND: Tensor = self.second(self.first(task_KND.mT)).mT
        return fused_KND


class _Level(nn.Module):
    def __init__(self, tasks: int, width: int) -> None:
        super().__init__()
        self.expert_KDD, self.bias_KD1 = new_experts(tasks, width)
        self.gate_KKD = new_gate(tasks, tasks, width)

    def forward(self, task_KDN: Tensor) -> Tensor:
        expert_KDN = experts(self.expert_KDD, self.bias_KD1, task_KDN)
        return expert_KDN + mixture(torch.bmm(self.gate_KKD, task_KDN), expert_KDN.split(1))
