"""Weights as int8: every matrix with one scale per output channel, symmetric, widened again when it is read.

Only the file is smaller. The network computes with float32 all the same, so that it is as fast as before and its
outputs depend on no batch: ranges of activations, which products in int8 need, would be taken over the rows that came
together.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_LARGEST = 127.0
_LEAST_INPUTS = 8
"""An axis with fewer entries would need nearly as many scales as it has weights."""
_SCALE = ".int8_scale"


def narrowed(network: nn.Module) -> dict[str, Tensor]:
    """A network's state by name, its matrices in int8 beside their scales (Jacob et al., 2018, section 2.1).

    Vectors and buffers stay what they are: they are few, or counts that learning goes on with.
    """
    weights = {name: weight.detach() for name, weight in network.state_dict().items()}
    for name, _ in network.named_parameters():
        found = _narrow(weights[name])
        if found is not None:
            weights[name], weights[name + _SCALE] = found
    return weights


def widened(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same in float32; what was never narrowed as it is."""
    scales = {name.removesuffix(_SCALE): scale for name, scale in weights.items() if name.endswith(_SCALE)}
    plain = {name: weight for name, weight in weights.items() if not name.endswith(_SCALE)}
    return plain | {name: plain[name].float() * scale for name, scale in scales.items() if name in plain}


def _narrow(weight: Tensor) -> tuple[Tensor, Tensor] | None:
    """Along the axis that loses least: products here have their inputs last, or last but one."""
    axes = [axis for axis in range(weight.dim()) if weight.shape[axis] >= _LEAST_INPUTS]
    if weight.dim() < len(("inputs", "outputs")) or not axes:
        return None
    found = [_along(weight, axis) for axis in axes]
    return min(found, key=lambda each: float((each[0].float() * each[1] - weight).square().sum()))


def _along(weight: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    scale = weight.abs().amax(axis, keepdim=True) * _LARGEST**-1
    return (weight / torch.where(scale > 0, scale, 1.0)).round().to(torch.int8), scale
