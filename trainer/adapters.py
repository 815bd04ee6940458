"""Low-rank adapters (LoRA, Hu et al., 2022) that are folded into the weights at every step.

A matrix stands at start + up @ down, and only up and down learn. What the adapters' gradients need is the matrix's own:
d up = d matrix @ down^T, d down = up^T @ d matrix. So nothing else knows of adapters: files, serving and the backward
pass see plain weights at any time, and ending a burst is forgetting them.

X rows, Y columns, R rank; leading axes are those of the matrix.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

_RATE = 4.0
"""Times the learning rate of the whole matrices."""


class Adapters:
    """An optimiser that moves the matrices among the weights, and those within a low rank.

    Args:
        weights: those of less than two axes, and matrices too small to gain, stay as they are.
        rank: R.
        rate: the learning rate of the whole matrices.
        seed: of the first `down`.
    """

    def __init__(self, weights: Iterable[Parameter], rank: int, rate: float, seed: int) -> None:
        self._matrices = [each for each in weights if each.dim() >= 2 and min(each.shape[-2:]) > rank]
        generator = torch.Generator().manual_seed(seed)
        self._pairs = [_pair(each, rank, generator) for each in self._matrices]
        self._optimiser = torch.optim.AdamW(
            [part for pair in self._pairs for part in pair], rate * _RATE, weight_decay=0
        )

    @torch.no_grad()
    def step(self) -> None:
        """Move the matrices by their gradients."""
        before = [up @ down for up, down in self._pairs]
        for matrix, (up, down) in zip(self._matrices, self._pairs, strict=True):
            if matrix.grad is not None:
                up.grad, down.grad = matrix.grad @ down.mT, up.mT @ matrix.grad
        self._optimiser.step()
        self._optimiser.zero_grad()
        for matrix, was, (up, down) in zip(self._matrices, before, self._pairs, strict=True):
            matrix.add_(up @ down - was)

    def state_dict(self) -> dict[str, Any]:
        """What the next steps depend on."""
        pairs = [[part.clone() for part in pair] for pair in self._pairs]
        return {"pairs": pairs, "optimiser": self._optimiser.state_dict()}

    def takes(self, state: Mapping[str, Any]) -> bool:
        """Is it of the same rank and weights?"""
        mine = [[part.shape for part in pair] for pair in self._pairs]
        return mine == [[part.shape for part in pair] for pair in state["pairs"]]

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood, whose state it `takes`."""
        for pair, held in zip(self._pairs, state["pairs"], strict=True):
            for part, was in zip(pair, held, strict=True):
                part.copy_(was)
        self._optimiser.load_state_dict(state["optimiser"])


def _pair(matrix: Tensor, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`up` is 0, so that the matrix starts where it is."""
    *leading, x, y = matrix.shape
    up = torch.zeros(*leading, x, rank, device=matrix.device)
    down = torch.randn(*leading, rank, y, generator=generator).to(matrix.device) * y**-0.5
    return up, down
