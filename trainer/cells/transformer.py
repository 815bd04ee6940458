"""Softmax attention over a bounded window: the costly reference.

M modalities, N rows, D width, H heads, L slots, C channels, I = H * C, F = 2 D.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.cells.parameters import uniform, zeros
from trainer.cells.window import WindowCell

_ENTRIES = 16
"""As many as a training window has rows by default: what lies farther back would never be learned."""
_HEADS = 2


class TransformerCell(WindowCell):
    """One transformer layer (Vaswani et al., 2017, section 3) in which the newest row looks at the last sixteen inputs.

    Only inputs are held, narrowed to half the width; the products that would make keys and values of them are taken on
    the query's side instead (as DeepSeek-AI, 2024, section 2.1.2, absorbs them), which keeps the state at one entry an
    input. Positions are told by a learned bias per head (Shaw et al., 2018; one-sided).
    """

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__()
        self.slots, self.channels = _ENTRIES, width // 2
        inner = _HEADS * self.channels
        self.entry_MDC = uniform(modalities, width, self.channels)
        self.query_MDI = uniform(modalities, width, inner)
        self.position_MHL = nn.Parameter(torch.zeros(modalities, _HEADS, _ENTRIES))
        self.output_MID = uniform(modalities, inner, width)
        self.output_bias_M1D = zeros(modalities, width)
        self.widen_MDF = uniform(modalities, width, 2 * width)
        self.widen_bias_M1F = zeros(modalities, 2 * width)
        self.narrow_MFD = uniform(modalities, 2 * width, width)

    def drive(self, x_MND: Tensor, keep_MNC: Tensor, absent_MN1: Tensor) -> Sequence[Tensor]:
        """The row's entry, what time leaves of the others, and absence."""
        return torch.bmm(x_MND, self.entry_MDC).unsqueeze(2), keep_MNC.unsqueeze(2), absent_MN1.unsqueeze(2)

    def read(self, x_MND: Tensor, state_MNLC: Tensor) -> Tensor:
        """Attention and a feed-forward layer, each added to its input."""
        query_MNHC = torch.bmm(x_MND, self.query_MDI).unflatten(-1, (_HEADS, -1))
        mixed_MNI = self._attend(query_MNHC, state_MNLC).flatten(-2)
        seen_MND = x_MND + torch.baddbmm(self.output_bias_M1D, mixed_MNI, self.output_MID)
        normed_MND = functional.layer_norm(seen_MND, seen_MND.shape[-1:])
        wide_MNF = functional.gelu(torch.baddbmm(self.widen_bias_M1F, normed_MND, self.widen_MDF))
        return torch.baddbmm(seen_MND, wide_MNF, self.narrow_MFD)

    def _attend(self, query_MNHC: Tensor, state_MNLC: Tensor) -> Tensor:
        """Entries weighted by how well they answer, [M, N, H, C].

        Modalities take the place of torch's heads, and heads that of its queries: all heads look at the same entries.
        Plain products of such small matrices were not bit-identical for any grouping of rows; torch's attention is.
        """
        query_NMHC, state_NMLC = query_MNHC.transpose(0, 1), state_MNLC.transpose(0, 1)
        mixed_NMHC = functional.scaled_dot_product_attention(query_NMHC, state_NMLC, state_NMLC, self.position_MHL)
        return mixed_NMHC.transpose(0, 1)
