"""Multi-gate mixture of experts (Ma et al., 2018, section 4.2).

K tasks, X experts, N rows, D width.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from schemas.components import ModelSettings
from trainer.sharing.experts import experts, mixture, new_experts, new_gate


class Mmoe(nn.Module):
    """Experts read what is shared; each task's gate reads the task's own representation and mixes them."""

    shared_queries: ClassVar[int] = 1

    def __init__(self, tasks: int, model: ModelSettings) -> None:
        super().__init__()
        self.expert_XDD, self.bias_XD1 = new_experts(model.experts, model.width)
        self.gate_KXD = new_gate(tasks, model.experts, model.width)

    def forward(self, task_KND: Tensor, shared_1ND: Tensor) -> Tensor:
        """[K, N, D] and [1, N, D] to [K, N, D]."""
        expert_XDN = experts(self.expert_XDD, self.bias_XD1, shared_1ND.mT)
        return mixture(torch.bmm(self.gate_KXD, task_KND.mT), expert_XDN.split(1)).mT
