"""Weights that follow from the losses: how fast they fall, how large they are. J judged tasks of K."""

import torch
from torch import Tensor

from trainer.weighting.evidence import Again, Evidence, Setting

LEAST_LOSS = 1e-3
"""Losses count at least this much where a weight goes with their inverse: one that is 0 must not own a step."""
_SMOOTHNESS = 0.1
"""mu of the smooth maximum; Lin et al. (2024) try 0.01 to 1. 0.3 more loss weighs 2.7 times as much among 3 tasks."""
_TEMPERATURE = 2.0
"""T of Liu et al. (2019)."""
_FAST, _SLOW = 0.05, 0.01
"""Rates of the two running losses that stand in for the last two epochs: a stream has none."""


def geometric(step: Evidence) -> Tensor:
    """Weights that descend the geometric mean of the losses, times J (Chennupati et al., 2019, section 3.2)."""
    loss_J = step.loss_J.clamp(min=LEAST_LOSS)
    return loss_J.log().mean().exp() / loss_J


def smooth_tchebycheff(step: Evidence) -> Tensor:
    """Weights that descend the smooth maximum of the losses (Lin et al., 2024, equation 11), preferences aside.

    mu log sum exp(L / (J mu)), scaled so that the weights sum to J; the ideal point is 0.
    """
    j = len(step.loss_J)
    return (step.loss_J / (j * _SMOOTHNESS)).softmax(-1) * j


class DynamicAverage:
    """The slower a loss falls, the more it weighs (dynamic weight average; Liu et al., 2019, equation 7).

    The ratio of the last two epochs' losses is one of two running means here, a fast one over a slow one. A task's
    means move only in steps that judged it.
    """

    reads_gradients = False

    def __init__(self, setting: Setting) -> None:
        self._fast_K = torch.full((setting.tasks,), torch.nan)
        self._slow_K = self._fast_K.clone()

    def weigh(self, step: Evidence) -> Tensor:
        """Weights, [J]; J in all."""
        slow_J = self._slow_K[step.task_J].clamp(min=LEAST_LOSS)
        ratio_J = (self._fast_K[step.task_J] / slow_J).nan_to_num(1.0).to(step.loss_J)
        return (ratio_J / _TEMPERATURE).softmax(-1) * len(ratio_J)

    def learn(self, step: Evidence, _: Again, /) -> None:
        """Move the running means of the judged tasks."""
        for mean_K, rate in ((self._fast_K, _FAST), (self._slow_K, _SLOW)):
            loss_J = step.loss_J.to(mean_K)
            before_J = torch.where(mean_K[step.task_J].isnan(), loss_J, mean_K[step.task_J])
            mean_K[step.task_J] = before_J.lerp(loss_J, rate)
