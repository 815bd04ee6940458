"""Gated linear attention: a matrix of values filed under keys.

M modalities, N rows, H heads, L keys of a head, K = L * H, V values of a head, D = H * V width, P = K + D.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.cells.linear import LinearCell
from trainer.cells.parameters import uniform, zeros

HEADS = 2
_SLOWEST = 4.0
"""Logit of what the slowest key keeps of a row: 0.98; the fastest starts at a half."""


class RetentionCell(LinearCell):
    """Gated linear attention (Yang et al., 2024) whose key is what it forgets (HGRN2, Qin et al., 2024).

    So the state, [key, value] of each head, is a running mean of values and stays within their range, which half
    precision needs. Keys have half the width of values, as in gated linear attention.
    """

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__()
        self.slots, self.channels = width // (2 * HEADS), width
        keys = HEADS * self.slots
        self.input_MDP = uniform(modalities, width, keys + width)
        self.forget_bias_M1K = nn.Parameter(torch.linspace(0.0, _SLOWEST, keys).repeat(modalities, 1, 1))
        self.query_gate_MDP = uniform(modalities, width, keys + width)
        self.output_MDD = uniform(modalities, width, width)
        self.output_bias_M1D = zeros(modalities, width)

    def drive(self, x_MND: Tensor, keep_MND: Tensor, absent_MN1: Tensor) -> Sequence[Tensor]:
        """What each key keeps of its values, faded, and the values filed anew, [M, N, L, D] each."""
        keys = HEADS * self.slots
        input_MNP = torch.bmm(x_MND, self.input_MDP).to(keep_MND.dtype)
        forget_MNK, value_MND = input_MNP.split([keys, self.channels], -1)
        old_MNK = torch.maximum((forget_MNK + self.forget_bias_M1K).sigmoid(), absent_MN1)
        keep, value = (each.unflatten(-1, (1, HEADS, -1)) for each in (keep_MND, value_MND))
        old = self._by_key(old_MNK)
        return (old * keep).flatten(-2), ((1.0 - old) * value).flatten(-2)

    def read(self, x_MND: Tensor, state_MNLD: Tensor) -> Tensor:
        """What the row's query finds, gated, from all heads."""
        keys = HEADS * self.slots
        query_MNK, gate_MND = torch.bmm(x_MND, self.query_gate_MDP).split([keys, self.channels], -1)
        query, state = self._by_key(query_MNK).unbind(2), state_MNLD.unflatten(-1, (HEADS, -1)).unbind(2)
        found = query[0] * state[0]
        for each_query, each_state in zip(query[1:], state[1:], strict=True):
            found = torch.addcmul(found, each_query, each_state)
        gated_MND = found.flatten(-2) * functional.silu(gate_MND)
        return torch.baddbmm(self.output_bias_M1D, gated_MND, self.output_MDD)

    def _by_key(self, each_MNK: Tensor) -> Tensor:
        """[M, N, L, H, 1] of [M, N, L * H]."""
        keyed: Tensor = each_MNK.unflatten(-1, (self.slots, HEADS, 1))
        return keyed
