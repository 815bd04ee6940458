"""Recurrent cells, one copy per modality, behind one seam: a flat part over all rows, and a step per wave.

M modalities, N rows, E entities of one wave, D width, P projected width (what the cell asks for).
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn


class Cell(Protocol):
    """What the encoder needs of a recurrent cell."""

    def project(self, x_MND: Tensor) -> Tensor:
        """Everything that does not depend on the state, for all rows at once: [M, N, P]."""
        ...

    def step(self, projected_MEP: Tensor, hidden_MED: Tensor, absent_ME1: Tensor) -> Tensor:
        """The next state, [M, E, D]; exactly `hidden_MED` where `absent_ME1` is 1."""
        ...


class GruCell(nn.Module):
    """Gated recurrent unit (Cho et al., 2014), reset gate applied after the product as in cuDNN."""

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.input_MDP = nn.Parameter(torch.empty(modalities, width, 3 * width).uniform_(-bound, bound))
        self.state_MDP = nn.Parameter(torch.empty(modalities, width, 3 * width).uniform_(-bound, bound))
        self.input_bias_M1P = nn.Parameter(torch.zeros(modalities, 1, 3 * width))
        self.state_bias_M1P = nn.Parameter(torch.zeros(modalities, 1, 3 * width))

    def project(self, x_MND: Tensor) -> Tensor:
        """Input part of reset, update and candidate: [M, N, 3 D]."""
        return torch.baddbmm(self.input_bias_M1P, x_MND, self.input_MDP)

    def step(self, projected_MEP: Tensor, hidden_MED: Tensor, absent_ME1: Tensor) -> Tensor:
        """The next state, [M, E, D]; an update gate of 1 returns the old one exactly."""
        width = hidden_MED.shape[-1]
        recurrent_MEP = torch.baddbmm(self.state_bias_M1P, hidden_MED, self.state_MDP)
        gates = (projected_MEP[..., : 2 * width] + recurrent_MEP[..., : 2 * width]).sigmoid()
        reset, update = gates[..., :width], torch.maximum(gates[..., width:], absent_ME1)
        candidate = torch.addcmul(projected_MEP[..., 2 * width :], reset, recurrent_MEP[..., 2 * width :]).tanh()
        return torch.lerp(candidate, hidden_MED, update)


CELLS: dict[str, Callable[[int, int], Cell]] = {"gru": GruCell}
"""`model.cell` -> constructor from (modalities, width)."""
