"""What one prediction costs: the losses by name, each in a unit of its own.

All are element by element; shapes are the caller's.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from schemas.loss import Loss

_SURE = 1e-6
"""A miss less likely than this is as likely as this to focal loss: its power has no gradient at 0."""


def pinball(error: Tensor, quantile: Tensor) -> Tensor:
    """What forecasting a quantile costs (Koenker and Bassett, 1978). Unit: the error's.

    Args:
        error: came - forecast.
        quantile: in (0, 1).
    """
    return torch.maximum(quantile * error, (quantile - 1.0) * error)


def squared(change: Tensor) -> Tensor:
    """Half the square: 1 in the mean where |error| is exponential with mean 1, as the forecast head's start has it."""
    return 0.5 * change.square()


def huber(change: Tensor, delta: float) -> Tensor:
    """Quadratic up to `delta`, linear beyond (Huber, 1964, section 4).

    Over 1 - exp(-delta), its mean where |error| is exponential with mean 1: then it is 1, as with `squared`.
    """
    return functional.huber_loss(change, torch.zeros_like(change), reduction="none", delta=delta) / -math.expm1(-delta)


def surprise(nats: Tensor, loss: Loss, classes: int) -> Tensor:
    """Cross-entropy as the loss weighs it, over what an even guess costs: 1 is to know nothing.

    Focal loss is (1 - p) ^ gamma * -ln p (Lin et al., 2017, equation 4).

    Args:
        nats: -ln p of what came true.
        loss: a cross-entropy, or focal.
        classes: among how many.
    """
    if loss.name != "focal":
        return nats / math.log(classes)
    missed = (-torch.expm1(-nats)).clamp(min=_SURE)
    even: float = math.log(classes) * (1.0 - 1.0 / classes) ** loss.gamma
    return missed.pow(loss.gamma) * nats / even
