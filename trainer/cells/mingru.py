"""Minimal gated recurrent unit, for long windows. M modalities, N rows, D width, P = 2 D."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.cells.linear import LinearCell
from trainer.cells.parameters import uniform, zeros


class MinGruCell(LinearCell):
    """minGRU (Feng et al., 2024, section 3.1): gate and candidate see the input alone, no tanh.

    The state stays between the lowest and the highest candidate.
    """

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__()
        self.slots, self.channels = 1, width
        self.input_MDP = uniform(modalities, width, 2 * width)
        self.bias_M1P = zeros(modalities, 2 * width)

    def drive(self, x_MND: Tensor, keep_MND: Tensor, absent_MN1: Tensor) -> Sequence[Tensor]:
        """Share of the state that is kept and what is added, [M, N, 1, D] each."""
        input_MNP = torch.baddbmm(self.bias_M1P, x_MND, self.input_MDP).to(keep_MND.dtype)
        gate_MND, candidate_MND = input_MNP.chunk(2, -1)
        old_MND = torch.maximum(gate_MND.sigmoid(), absent_MN1)
        return (old_MND * keep_MND).unsqueeze(2), ((1.0 - old_MND) * candidate_MND).unsqueeze(2)

    def read(self, x_MND: Tensor, state_MN1D: Tensor) -> Tensor:
        """The state itself."""
        del x_MND
        return state_MN1D.squeeze(2)
