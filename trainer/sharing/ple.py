"""Progressive layered extraction (Tang et al., 2020, sections 4.2 and 4.3).

K tasks, X shared experts, N rows, D width, Y = 1 + X.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from schemas.components import ModelSettings
from trainer.sharing.experts import experts, mixture, new_experts, new_gate


class Ple(nn.Module):
    """Two levels of customised gate control: what is shared is extracted from all experts, then mixed once more."""

    shared_queries: ClassVar[int] = 1

    def __init__(self, tasks: int, model: ModelSettings) -> None:
        super().__init__()
        self.first = _Level(tasks, model)
        self.over_private_KD = new_gate(tasks, model.width)
        self.over_shared_XD = new_gate(model.experts, model.width)
        self.second = _Level(tasks, model)

    def forward(self, task_KND: Tensor, shared_1ND: Tensor) -> Tensor:
        """[K, N, D] and [1, N, D] to [K, N, D]."""
        task_KDN, shared_1DN = task_KND.mT, shared_1ND.mT
        private_KDN, shared_XDN = self.first.experts(task_KDN, shared_1DN)
        logit_1YN = torch.mm(torch.cat([self.over_private_KD, self.over_shared_XD]), shared_1DN[0])[None]
        everything_1DN = mixture(logit_1YN, [*private_KDN.split(1), *shared_XDN.split(1)])
        chosen_KDN = self.first.choice(task_KDN, private_KDN, shared_XDN)
        return self.second.choice(chosen_KDN, *self.second.experts(chosen_KDN, everything_1DN)).mT


class _Level(nn.Module):
    """A private expert per task beside the shared ones, and the tasks' gates."""

    def __init__(self, tasks: int, model: ModelSettings) -> None:
        super().__init__()
        self.private_KDD, self.private_KD1 = new_experts(tasks, model.width)
        self.shared_XDD, self.shared_XD1 = new_experts(model.experts, model.width)
        self.gate_KYD = new_gate(tasks, 1 + model.experts, model.width)

    def experts(self, task_KDN: Tensor, shared_1DN: Tensor) -> tuple[Tensor, Tensor]:
        """Private [K, D, N] and shared ones [X, D, N]."""
        private_KDN = experts(self.private_KDD, self.private_KD1, task_KDN)
        return private_KDN, experts(self.shared_XDD, self.shared_XD1, shared_1DN)

    def choice(self, task_KDN: Tensor, private_KDN: Tensor, shared_XDN: Tensor) -> Tensor:
        """Each task's mixture of its own expert and the shared ones, [K, D, N]."""
        return mixture(torch.bmm(self.gate_KYD, task_KDN), [private_KDN, *shared_XDN.split(1)])
