"""Products per signal that give a row the same answer whichever rows it comes with."""

import torch
from torch import Tensor
from torch.nn import functional

_LEAST_COLUMNS = 3
"""Below 400 multiply-adds torch.bmm takes another kernel, which would tie results to the row count."""


def by_signal(read_INS: Tensor, weight_SIO: Tensor) -> Tensor:
    """Each signal's inputs times its own weights, [N, S, O].

    Args:
        read_INS: I inputs of each signal at each row.
        weight_SIO: what each output takes of each input.
    """
    outputs = weight_SIO.shape[-1]
    weight_SIO = functional.pad(weight_SIO, (0, max(_LEAST_COLUMNS - outputs, 0)))
    return torch.bmm(read_INS.permute(2, 1, 0), weight_SIO)[..., :outputs].transpose(0, 1)
