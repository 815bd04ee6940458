"""What several ranks saw of one step, pooled, so that all of them weigh tasks alike. Every rank of a group calls.

Tensors may stand on any device: what is pooled is brought to where the group can add up, and the result back.

K tasks, R ranks.
"""

import json
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed import ProcessGroup

Words = TypeVar("Words")


def pool_losses(loss_K: Tensor, judged_K: Tensor, group: ProcessGroup | None) -> tuple[Tensor, Tensor]:
    """Each task's loss as the mean over the ranks that judged it, and which tasks any rank judged.

    An all-reduce of 2 K numbers; without a group what was given.
    """
    if group is None:
        return loss_K, judged_K
    sum_K, count_K = pool_sum(torch.stack([loss_K.where(judged_K, 0.0), judged_K.to(loss_K)]), group)
    return sum_K / count_K.clamp(min=1.0), count_K > 0.0


def pool_gramian(gramian_KK: Tensor, group: ProcessGroup | None) -> Tensor:
    """The Gramian of what all ranks learn together; an all-reduce of K x K numbers, without a group what was given.

    `.grad` averaged over ranks descends the mean over ranks of each rank's own losses, a loss being 0 where a rank
    judged nothing. A row of the representation belongs to one rank, and its gradient of that mean is 1/R of the rank's
    own: the Gramian over all rows is exactly the sum of the ranks' Gramians over R squared. It is not their mean, nor
    that of gradients averaged over ranks: rows of two ranks are two places of the representation, never added.

    Args:
        gramian_KK: of this rank's own losses, at its own rows of the representation.
        group: the ranks, if there are any.
    """
    if group is None:
        return gramian_KK
    sum_KK = pool_sum(gramian_KK.double(), group)
    return (sum_KK / distributed.get_world_size(group) ** 2).to(gramian_KK)


def pool_gradients(weights: Sequence[Tensor], group: ProcessGroup | None) -> None:
    """Average `.grad` over the ranks, in one all-reduce; a weight that a rank did not reach counts as 0 there."""
    if group is None:
        return
    flat = torch.cat([(torch.zeros_like(each) if each.grad is None else each.grad).flatten() for each in weights])
    flat = pool_mean(flat, group)
    for weight, gradient in zip(weights, flat.split([each.numel() for each in weights]), strict=True):
        weight.grad = gradient.view_as(weight)


def gather_rows(rows: Tensor, group: ProcessGroup | None) -> Tensor:
    """The rows of all ranks, in the ranks' order: each may have another number of them, or none.

    Args:
        rows: this rank's, [n, ...]; the other axes and the type are the same on all ranks.
        group: the ranks; None: what was given.
    """
    if group is None:
        return rows
    there = _there(rows, group)
    counts = [torch.zeros(1, dtype=torch.int64, device=there.device) for _ in range(group.size())]
    distributed.all_gather(counts, torch.tensor([len(rows)], device=there.device), group=group)
    most = max(int(count) for count in counts)
    padded = there.new_zeros((most, *rows.shape[1:]))
    padded[: len(rows)] = there
    found = [torch.empty_like(padded) for _ in counts]
    distributed.all_gather(found, padded, group=group)
    return torch.cat([each[: int(count)] for each, count in zip(found, counts, strict=True)]).to(rows.device)


def gather_words(words: Words, group: ProcessGroup | None) -> list[Words]:
    """What every rank says, in the ranks' order: anything that JSON has a word for."""
    if group is None:
        return [words]
    line = bytearray(f"{json.dumps(words)}\n".encode())
    gathered = gather_rows(torch.frombuffer(line, dtype=torch.uint8), group)
    return [json.loads(each) for each in bytes(gathered.tolist()).splitlines()]


def pool_sum(values: Tensor, group: ProcessGroup | None) -> Tensor:
    """The sum over the ranks, maybe in place; without a group what was given."""
    return values if group is None else _reduced(values, group, distributed.ReduceOp.SUM)


def pool_most(values: Tensor, group: ProcessGroup | None) -> Tensor:
    """The largest over the ranks, maybe in place; without a group what was given."""
    return values if group is None else _reduced(values, group, distributed.ReduceOp.MAX)


def pool_mean(values: Tensor, group: ProcessGroup | None) -> Tensor:
    """The mean over the ranks; without a group what was given."""
    return values if group is None else pool_sum(values / distributed.get_world_size(group), group)


def pool_metrics(found: list[tuple[int, dict[str, float]]], group: ProcessGroup | None) -> dict[str, float]:
    """Means of named figures, those of all ranks, by how much each set of them was made from.

    Args:
        found: (how much, what was found); one made from nothing does not count.
        group: the ranks, if there are any.
    """
    found = [each for told in gather_words(found, group) for each in told]
    shares = {
        name: [(each[name], count) for count, each in found if name in each and count]
        for count, each in found
        if count
        for name in each
    }
    return {
        name: sum(value * count for value, count in each) / sum(count for _, count in each)
        for name, each in shares.items()
    }


def _reduced(values: Tensor, group: ProcessGroup, operation: distributed.ReduceOp.RedOpType) -> Tensor:
    there = _there(values, group)
    distributed.all_reduce(there, operation, group)
    return there.to(values.device)


def _there(values: Tensor, group: ProcessGroup) -> Tensor:
    """NCCL refuses what is not on a GPU, and gloo gathers nothing that is."""
    return values.cuda() if group.name() == "nccl" else values.cpu()
