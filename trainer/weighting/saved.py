"""What a way of weighting tasks has learned, as plain numbers and tensors, and back again."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def saved(method: object) -> dict[str, Any]:
    """Its tensors, generators and optimisers, and those of its parts; empty where it keeps nothing."""
    found: dict[str, Any] = {}
    for name, part in _parts(method).items():
        if isinstance(part, Tensor):
            found[name] = part.detach().clone()
        elif isinstance(part, torch.Generator):
            found[name] = part.get_state()
        elif isinstance(part, Optimizer):
            found[name] = part.state_dict()
        elif inner := saved(part):
            found[name] = inner
    return found


@torch.no_grad()
def restore(method: object, state: Mapping[str, Any]) -> None:
    """Put a method of the same kind where another one was."""
    for name, part in _parts(method).items():
        if isinstance(part, Tensor):
            part.copy_(state[name])
        elif isinstance(part, torch.Generator):
            part.set_state(state[name])
        elif isinstance(part, Optimizer):
            part.load_state_dict(state[name])
        elif name in state:
            restore(part, state[name])


def _parts(method: object) -> dict[str, Any]:
    return getattr(method, "__dict__", {})
