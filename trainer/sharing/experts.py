"""Experts: banks of hidden layers, and mixtures of them with a weight per row.

Rows stand last (why: `trainer.fusion`). X experts, T towers that mix them, D width, N rows.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.fusion import weighted_sum


def new_experts(count: int, width: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Weights [X, D, D] and biases [X, D, 1] of a bank."""
    weight = torch.empty(count, width, width).uniform_(-(width**-0.5), width**-0.5)
    return nn.Parameter(weight), nn.Parameter(torch.zeros(count, width, 1))


def new_gate(*shape: int) -> nn.Parameter:
    """A gate's weights; zero, so that everything is mixed evenly at the start."""
    return nn.Parameter(torch.zeros(*shape))


def experts(weight_XDD: Tensor, bias_XD1: Tensor, x_XDN: Tensor) -> Tensor:
    """What each expert says, [X, D, N], of its own input or (where that has one bank only) of the one for all."""
    return functional.gelu(torch.baddbmm(bias_XD1, weight_XDD, x_XDN.expand(len(weight_XDD), -1, -1)))


def mixture(logit_TXN: Tensor, expert: Iterable[Tensor]) -> Tensor:
    """Each tower's mixture, [T, D, N]; X experts of [1, D, N], or [T, D, N] where each tower has another one."""
    return weighted_sum(logit_TXN.softmax(1).unsqueeze(2).unbind(1), expert)
