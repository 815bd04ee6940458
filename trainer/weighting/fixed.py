"""Weights that look at nothing: equal ones, and random ones. J judged tasks."""

import torch
from torch import Tensor

from trainer.weighting.evidence import Again, Evidence, Setting


def equal(step: Evidence) -> Tensor:
    """One each: losses are standardised, so that this means equal importance. Hard to beat where it was measured."""
    return torch.ones_like(step.loss_J)


class RandomWeights:
    """Softmax of normal draws, anew each step (random loss weighting; Lin et al., 2022, algorithm 2)."""

    reads_gradients = False

    def __init__(self, setting: Setting) -> None:
        self._generator = setting.generator

    def weigh(self, step: Evidence) -> Tensor:
        """Weights, [J]; J in all, one each in the mean."""
        drawn_J = torch.randn(len(step.loss_J), generator=self._generator).to(step.loss_J)
        return drawn_J.softmax(-1) * len(drawn_J)

    def learn(self, step: Evidence, _: Again, /) -> None:
        """Each step draws anew."""
