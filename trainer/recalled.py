"""An explained entity's frames and vectors: projected once, then looked up by however many variants of its rows.

R rows of the entity, A = R + altered frames, n packed rows that carry one, D width, P numbers of a vector; a frame is
[C, H, W].
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from schemas.observation import Field
from trainer.encoder import Encoder
from trainer.network import Network
from trainer.rows import MULTIPLE

GRID = 4
"""Parts of a frame, across and down; no frame is smaller than that."""


class Recalled(nn.Module):
    """Stands in for a projection: reads [n, 2], a place among what was projected and how much of it, gives [n, D]."""

    table_AD: Tensor

    def __init__(self, projection: nn.Module, given: Tensor) -> None:
        super().__init__()
        padding = given.new_zeros(-len(given) % MULTIPLE, *given.shape[1:])
        with torch.no_grad():
            self.register_buffer("table_AD", projection(torch.cat([given, padding])))

    def forward(self, told_n2: Tensor) -> Tensor:
        """Look up."""
        return self.table_AD[told_n2[:, 0].long()] * told_n2[:, 1:]


def recall(network: Network, vectors: Mapping[str, Field]) -> None:
    """From now on the network reads places and shares instead of frames and vectors.

    Args:
        network: changed for good: it can explain this entity alone.
        vectors: modality -> its frames, [R, C, H, W], or vectors, [R, P]; of frames the altered ones follow in the
            table, part by part.
    """
    given = {name: torch.from_numpy(_with_altered(each)) for name, each in vectors.items()}
    for module in network.modules():
        if isinstance(module, Encoder):
            module.vectors = nn.ModuleDict(
                {name: Recalled(projection, given[name]) for name, projection in module.vectors.items()}
            )


def altered(r: int) -> Tensor:
    """The places of the last frame's altered ones, part by part, [GRID * GRID]."""
    return torch.arange(r, r + GRID * GRID).float()


def _with_altered(vector_R: Field) -> Field:
    """Frames, and the last one with each of its parts in turn as grey as the frame is on average."""
    if vector_R.ndim == 2:
        return vector_R
    frame_CHW = vector_R[-1]
    grey_C11 = frame_CHW.mean((1, 2), keepdims=True).round().astype(frame_CHW.dtype)
    _, height, width = frame_CHW.shape
    part_HW = (np.arange(height) * GRID // height)[:, None] * GRID + np.arange(width) * GRID // width
    without = [np.where(part_HW == part, grey_C11, frame_CHW) for part in range(GRID * GRID)]
    return np.concatenate([vector_R, np.stack(without)])
