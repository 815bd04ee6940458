"""Weights that are learned beside the network: a number per task, moved by its own gradient. J judged tasks of K."""

import torch
from torch import Tensor, nn, optim

from trainer.weighting.evidence import Again, Evidence, Setting
from trainer.weighting.losses import LEAST_LOSS

_ASYMMETRY = 1.5
"""alpha of Chen et al. (2018), section 5.2: how hard tasks that lag behind are pulled along."""
_DECAY = 1e-3
"""gamma of Liu et al. (2023), algorithm 2: pulls the weights back to equal ones."""


class Numbers:
    """One learned number per task, 0 at first, moved by Adam.

    A step moves the judged tasks' numbers alone, momentum included: that is what torch's Adam for sparse gradients
    does, and the others stand still whatever they did before.
    """

    def __init__(self, setting: Setting) -> None:
        self._number_K = nn.Parameter(torch.zeros(setting.tasks))
        self._adam = optim.SparseAdam([self._number_K], lr=setting.rate)

    def of(self, step: Evidence) -> Tensor:
        """The judged tasks' numbers, [J]."""
        return self._number_K.detach()[step.task_J].to(step.loss_J)

    def descend(self, step: Evidence, gradient_J: Tensor) -> None:
        """Move the judged tasks' numbers against their gradients."""
        shape, gradient_J = self._number_K.shape, gradient_J.to(self._number_K)
        self._number_K.grad = torch.sparse_coo_tensor(step.task_J[None], gradient_J, shape, check_invariants=False)
        self._adam.step()


class Uncertainty:
    """Losses over learned variances (Kendall et al., 2018, section 3.2): e^-s L + s, s the log-variance, 0 at first.

    A loss of 0, as of a task whose labels are all alike, has no least variance: it counts as `LEAST_LOSS`.
    """

    reads_gradients = False

    def __init__(self, setting: Setting) -> None:
        self._log_variance = Numbers(setting)

    def weigh(self, step: Evidence) -> Tensor:
        """Weights, [J]: they tend to the inverse of the losses, and their sum is free."""
        return (-self._log_variance.of(step)).exp()

    def learn(self, step: Evidence, _: Again, /) -> None:
        """One step down the same loss."""
        self._log_variance.descend(step, 1.0 - self.weigh(step) * step.loss_J.clamp(min=LEAST_LOSS))


class GradNorm:
    """Gradients of equal size at the representation, larger for tasks that lag behind (Chen et al., 2018, section 3).

    What is learned is the weights' logarithm, which keeps them positive. The loss at the start is 1 by the losses'
    standardisation; the paper's section 3.2 advises such a theoretical value where the first loss is noise.
    """

    reads_gradients = True

    def __init__(self, setting: Setting) -> None:
        self._logarithm = Numbers(setting)

    def weigh(self, step: Evidence) -> Tensor:
        """Weights, [J]; J in all."""
        logarithm_J = self._logarithm.of(step)
        return logarithm_J.softmax(-1) * len(logarithm_J)

    def learn(self, step: Evidence, _: Again, /) -> None:
        """One step down the distance between each weighted norm and its target, which is held fixed."""
        norm_J = self.weigh(step) * step.gradients.diagonal().clamp(min=0.0).sqrt()
        pace_J = step.loss_J / step.loss_J.mean().clamp(min=LEAST_LOSS)
        target_J = norm_J.mean() * pace_J.clamp(min=0.0) ** _ASYMMETRY
        self._logarithm.descend(step, (norm_J - target_J).sign() * norm_J)


class Famo:
    """All losses fall by the same share, learned from how they fell in the last step (Liu et al., 2023, algorithm 2).

    Costs one more forward pass a step, and no gradient of a single task.
    """

    reads_gradients = False

    def __init__(self, setting: Setting) -> None:
        self._logit = Numbers(setting)

    def weigh(self, step: Evidence) -> Tensor:
        """Weights, [J]; J in all: the gradient of the weighted mean of the losses' logarithms, made convex."""
        share_J = self._logit.of(step).softmax(-1) / step.loss_J.clamp(min=LEAST_LOSS)
        return share_J / share_J.sum() * len(share_J)

    def learn(self, step: Evidence, again: Again, /) -> None:
        """A task whose loss fell by less than the others' weighs more from now on."""
        logit_J = self._logit.of(step)
        before_J, after_J = (loss_J.clamp(min=LEAST_LOSS).log() for loss_J in (step.loss_J, again()[step.task_J]))
        fell_J, z_J = before_J - after_J, logit_J.softmax(-1)
        self._logit.descend(step, z_J * (fell_J - (z_J * fell_J).sum()) + _DECAY * logit_J)
