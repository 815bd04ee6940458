"""Starting weights of one linear layer per modality. M modalities, I inputs, O outputs."""

import torch
from torch import nn


def uniform(modalities: int, inputs: int, outputs: int) -> nn.Parameter:
    """[M, I, O], uniform in +-1 / sqrt(I)."""
    bound = inputs**-0.5
    return nn.Parameter(torch.empty(modalities, inputs, outputs).uniform_(-bound, bound))


def zeros(modalities: int, outputs: int) -> nn.Parameter:
    """[M, 1, O]."""
    return nn.Parameter(torch.zeros(modalities, 1, outputs))
