"""Causal temporal convolution. M modalities, N rows, D width, L slots, C channels, P positions, K = taps * C."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.cells.parameters import uniform, zeros
from trainer.cells.window import WindowCell

_ENTRIES = 8
_TAPS = 3
_POSITIONS = _ENTRIES - _TAPS + 1


class ConvolutionCell(WindowCell):
    """A convolution of three taps over the last eight inputs, GELU, and a pool with weights per position and channel.

    The causal convolution of Bai et al. (2018, section 3.1) with one layer; the pool starts as the mean. Inputs are
    narrowed to half the width before they are held.
    """

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__()
        self.slots, self.channels = _ENTRIES, width // 2
        self.entry_MDC = uniform(modalities, width, self.channels)
        self.kernel_MKD = uniform(modalities, _TAPS * self.channels, width)
        self.bias_M1D = zeros(modalities, width)
        self.pool_PM1D = nn.Parameter(torch.full((_POSITIONS, modalities, 1, width), 1.0 / _POSITIONS))

    def drive(self, x_MND: Tensor, keep_MNC: Tensor, absent_MN1: Tensor) -> Sequence[Tensor]:
        """The row's entry, what time leaves of the others, and absence."""
        return torch.bmm(x_MND, self.entry_MDC).unsqueeze(2), keep_MNC.unsqueeze(2), absent_MN1.unsqueeze(2)

    def read(self, x_MND: Tensor, state_MNLC: Tensor) -> Tensor:
        """The pool over all positions."""
        modalities, rows, width = x_MND.shape
        patches = state_MNLC.unfold(2, _TAPS, 1).transpose(3, 4).reshape(modalities, rows * _POSITIONS, -1)
        seen = functional.gelu(torch.baddbmm(self.bias_M1D, patches, self.kernel_MKD))
        seen_PMND = seen.view(modalities, rows, _POSITIONS, width).unbind(2)
        pooled_MND = seen_PMND[0] * self.pool_PM1D[0]
        for position in range(1, _POSITIONS):
            pooled_MND = torch.addcmul(pooled_MND, seen_PMND[position], self.pool_PM1D[position])
        return pooled_MND
