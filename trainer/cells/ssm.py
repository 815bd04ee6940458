"""Diagonal state-space model: damped oscillators.

M modalities, N rows, D width, C = D / 2 oscillators, X = 2 C their state, P = 2 D.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.cells.linear import LinearCell
from trainer.cells.parameters import uniform, zeros

_SLOWEST, _FASTEST = 0.99, 0.5
"""What is left after a row: memories of 100 and 2 rows."""
_FASTEST_TURN, _SLOWEST_TURN = math.pi / 10.0, math.pi / 1000.0
"""Radians a row: periods of 20 to 2,000 rows."""


class SsmCell(LinearCell):
    """Linear recurrent unit (Orvieto et al., 2023, sections 3.3 and 3.4), then a gated linear unit.

    Complex numbers stand as two slots, real and imaginary part. Eigenvalues exp(-exp(rate) + i exp(turn)) do not depend
    on the input and never leave the unit disc; they start in a ring. The input is scaled so that white noise gives a
    state of the noise's variance.
    """

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__()
        self.slots, self.channels = 2, width // 2
        shape = modalities, 1, self.channels
        self.input_MDX = uniform(modalities, width, width)
        self.rate_M1C = nn.Parameter(torch.empty(shape).uniform_(_FASTEST**2, _SLOWEST**2).log().mul(-0.5).log())
        self.turn_M1C = nn.Parameter(torch.empty(shape).uniform_(_SLOWEST_TURN, _FASTEST_TURN).log())
        self.output_MXP = uniform(modalities, width, 2 * width)
        self.bias_M1P = zeros(modalities, 2 * width)

    def times(self, factor: Tensor, value: Tensor) -> Tensor:
        """Product of complex numbers."""
        (re, im), (value_re, value_im) = factor.unbind(-2), value.unbind(-2)
        return torch.stack([re * value_re - im * value_im, re * value_im + im * value_re], -2)

    def drive(self, x_MND: Tensor, keep_MNC: Tensor, absent_MN1: Tensor) -> Sequence[Tensor]:
        """Faded eigenvalues (exactly 1 where absent) and scaled inputs, [M, N, 2, C] each."""
        damping_M1C, turn_M1C = self.rate_M1C.exp(), self.turn_M1C.exp()
        radius_M1C = torch.exp(-damping_M1C)
        gain_M1C = -torch.expm1(-2.0 * damping_M1C)
        absent = absent_MN1 > 0
        re_MNC = torch.where(absent, 1.0, radius_M1C * turn_M1C.cos()) * keep_MNC
        im_MNC = torch.where(absent, 0.0, radius_M1C * turn_M1C.sin()) * keep_MNC
        input_MN2C = torch.bmm(x_MND, self.input_MDX).unflatten(-1, (2, -1))
        scale_MN1C = (gain_M1C.sqrt() * (1.0 - absent_MN1)).unsqueeze(2)
        return torch.stack([re_MNC, im_MNC], 2), input_MN2C * scale_MN1C

    def read(self, x_MND: Tensor, state_MN2C: Tensor) -> Tensor:
        """Real part of a complex product, and what of it passes a gate."""
        del x_MND
        return functional.glu(torch.baddbmm(self.bias_M1P, state_MN2C.flatten(2), self.output_MXP), -1)
