"""Gated recurrent unit: the default. M modalities, N rows, E entities of one wave, D width, P = 3 D."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainer.cells.parameters import uniform, zeros


class GruCell(nn.Module):
    """Gated recurrent unit (Cho et al., 2014), reset gate applied after the product as in cuDNN."""

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__()
        self.slots, self.channels = 1, width
        self.input_MDP = uniform(modalities, width, 3 * width)
        self.state_MDP = uniform(modalities, width, 3 * width)
        self.input_bias_M1P = zeros(modalities, 3 * width)
        self.state_bias_M1P = zeros(modalities, 3 * width)

    def drive(self, x_MND: Tensor, keep_MND: Tensor, absent_MN1: Tensor) -> Sequence[Tensor]:
        """Input part of reset, update and candidate, [M, N, 3 D]; what time leaves; absence."""
        input_MNP = torch.baddbmm(self.input_bias_M1P, x_MND, self.input_MDP).to(keep_MND.dtype)
        return input_MNP, keep_MND, absent_MN1

    def step(self, state_ME1D: Tensor, drive: Sequence[Tensor]) -> Tensor:
        """The next state; an update gate of 1 returns the old one exactly."""
        input_MEP, keep_MED, absent_ME1 = drive
        hidden_MED, width = state_ME1D.squeeze(2) * keep_MED, self.channels
        recurrent_MEP = torch.baddbmm(self.state_bias_M1P, hidden_MED, self.state_MDP).to(hidden_MED.dtype)
        gates = (input_MEP[..., : 2 * width] + recurrent_MEP[..., : 2 * width]).sigmoid()
        reset, update = gates[..., :width], torch.maximum(gates[..., width:], absent_ME1)
        candidate = torch.addcmul(input_MEP[..., 2 * width :], reset, recurrent_MEP[..., 2 * width :]).tanh()
        return torch.lerp(candidate, hidden_MED, update).unsqueeze(2)

    def read(self, x_MND: Tensor, state_MN1D: Tensor) -> Tensor:
        """The state itself."""
        del x_MND
        return state_MN1D.squeeze(2)
