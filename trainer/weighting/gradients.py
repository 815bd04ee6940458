"""A backward pass split by task at the shared representation, and joined again there with a weight for each task.

Up to the representation a task's gradient is its own; through the trunk there is one pass, of their weighted sum. The
trunk so costs what it costs in a plain backward pass; every task passes the layers behind it alone, one after the other
(a batched pass, `is_grads_batched`, was measured to take 1.05 to 2.3 times as long).

A number among the weights behind the representation that one task alone moves, a head's, gets that task's own gradient,
as published for such methods: a task that must not pull at the trunk still learns to read it. Where several tasks meet,
before or behind the representation, it is the weighted sum.

K tasks, X numbers of the representation, P numbers among the weights behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_LEAST_HELD = 1e-3
"""A method's weight nearer to 0 is held at this: what a head gets is divided by its task's weight again."""


@dataclass(frozen=True, slots=True)
class TaskGradients:
    """Each task's own gradients, as far as `shared`; 0 for a task that was not judged.

    Attributes:
        shared_KX: at the representation.
        behind_KP: of the weights behind it, one after the other.
    """

    shared_KX: Tensor
    behind_KP: Tensor

    def gramian(self) -> Tensor:
        """Inner products at the representation, [K, K]."""
        return self.shared_KX @ self.shared_KX.T


@dataclass(frozen=True, slots=True)
class Held:
    """Weights for the steps until gradients are looked at again, which are then passed back in one plain pass.

    Attributes:
        weight_K: of the losses, on their device.
        scales: for each weight behind the representation what its gradient is multiplied with afterwards.
        since: the step they were made in.
    """

    weight_K: Tensor
    scales: Sequence[Tensor]
    since: int


def behind(shared: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """Those weights that the representation does not depend on; one pass through the trunk finds out."""
    reached = torch.autograd.grad(shared, weights, torch.zeros_like(shared), retain_graph=True, allow_unused=True)
    return [weight for weight, gradient in zip(weights, reached, strict=True) if gradient is None]


def split(losses: Sequence[Tensor], judged_K: Tensor, shared: Tensor, weights: Sequence[Tensor] = ()) -> TaskGradients:
    """Pass each loss back to the representation.

    Args:
        losses: K scalars.
        judged_K: bool; a task that was not judged makes no pass.
        shared: the representation, through which all losses depend on the trunk.
        weights: of the layers behind it, as far as their gradients are asked for.
    """
    ends = [shared, *weights]
    rows = [
        torch.autograd.grad(loss, ends, retain_graph=True, materialize_grads=True) if judged else _nothing(ends)
        for loss, judged in zip(losses, judged_K.tolist(), strict=True)
    ]
    return TaskGradients(_flat([row[:1] for row in rows]), _flat([row[1:] for row in rows]))


def join(
    gradients: TaskGradients, weight_K: Tensor, own_K: Tensor, shared: Tensor, weights: Sequence[Tensor], step: int
) -> Held:
    """Set `.grad` of all weights.

    Args:
        gradients: of `split`, for the same `shared` and `weights`.
        weight_K: of the tasks, where they meet.
        own_K: of the tasks, where one is alone.
        shared: the representation.
        weights: of the layers behind it.
        step: its number.

    Returns:
        What makes a plain pass of later losses do the same.
    """
    weight_K, own_K = weight_K.to(shared), own_K.to(shared)
    torch.autograd.backward(shared, (weight_K @ gradients.shared_KX).view_as(shared))
    moved_KP = gradients.behind_KP != 0.0
    alone_P = moved_KP.sum(0) == 1
    joined_P = torch.where(alone_P, own_K @ gradients.behind_KP, weight_K @ gradients.behind_KP)
    for weight, gradient in zip(weights, _shaped(joined_P, weights), strict=True):
        weight.grad = gradient
    held_K = torch.where(weight_K.abs() < _LEAST_HELD, _LEAST_HELD * own_K.sign(), weight_K)
    scale_P = torch.where(alone_P, (own_K / held_K).nan_to_num() @ moved_KP.to(held_K), 1.0)
    return Held(held_K, _shaped(scale_P, weights), step)


def pass_back(losses: Sequence[Tensor], held: Held, weights: Sequence[Tensor]) -> None:
    """Set `.grad` of all weights, by the weights of an earlier step.

    Args:
        losses: K scalars.
        held: of `join`.
        weights: of the layers behind the representation, as they were given to `join`.
    """
    (torch.stack(list(losses)) * held.weight_K).sum().backward()
    for weight, scale in zip(weights, held.scales, strict=True):
        if weight.grad is not None:
            weight.grad *= scale


def _nothing(ends: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(torch.zeros_like(end) for end in ends)


def _flat(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    return torch.stack([torch.cat([part.reshape(-1) for part in row]) if row else torch.empty(0) for row in rows])


def _shaped(flat_P: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    parts = flat_P.split([weight.numel() for weight in weights])
    return [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
