"""Grafting: a detached task's private path as it was in the epoch that was best for the task, in a version for all.

Exact, since such a path reads running statistics alone, and what they are placed among does not move after a fit's
first epoch: no other answer changes by a bit. Forecasts feed the anomaly task: those two stay as they are.

K tasks.
"""

from collections.abc import Callable

import torch
from torch import nn

from trainer.network import Network
from trainer.transfer import FIRST_NAMED


def graft(version: Network, best_of: Callable[[str], Network | None]) -> list[str]:
    """Take the private paths of detached state and event tasks from other epochs of the same fit.

    Args:
        version: changed in place.
        best_of: the network of a task's best epoch; one in which the task was not detached gives nothing. None: nothing
            that was kept aside could be judged.

    Returns:
        The tasks that gave up their own path.
    """
    grafted = []
    for place, task in enumerate(version.layout.tasks):
        if place >= FIRST_NAMED and version.detached[place]:
            other = best_of(task.name)
            if other is not None and other.detached[place]:
                take_path(version, other, place)
                grafted.append(task.name)
    return grafted


@torch.no_grad()
def take_path(version: Network, other: Network, place: int) -> None:
    """Take a detached state or event task's private path from another network; `version` is changed in place."""
    for mine, its in zip(_own(version, place), _own(other, place), strict=True):
        mine.load_state_dict(its.state_dict())


def _own(network: Network, place: int) -> tuple[nn.Module, ...]:
    """Its private path, that one's head, and what both ways' odds start from."""
    assert network.private is not None
    return *network.private.own(place), *network.head(place)[1:]
