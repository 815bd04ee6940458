"""What is offered for service: the mean of the weights of the last steps, not those of the last one.

Steps of a constant size never come to rest: they circle a minimum, and the mean of where they have been is nearer to
it (Polyak and Juditsky, 1992; Ruppert, 1988). Online the minimum moves, so old steps fade; and while much is still
learned from each, few count.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch

from trainer.network import Network
from trainer.weights import load_weights, save_weights

_YOUNG = 10.0
"""A mean over about one in so many of all steps until now, until that is what the settings say."""


class Average:
    """Follows a network that learns.

    Args:
        network: that one.
        span: steps that count; 1: the mean is the network itself.
    """

    def __init__(self, network: Network, span: int) -> None:
        self._learning, self._span, self._steps = network, span, 0
        self.network = network if span == 1 else copy.deepcopy(network)

    def add(self) -> None:
        """A step was taken. What has no gradient rested, and is still the mean of its own last steps.

        What is no weight (statistics, who is detached) is the network's own.
        """
        self._steps += 1
        self._follow(1.0 / min(self._span, 1.0 + self._steps / _YOUNG), moved=True)

    def begin(self) -> None:
        """The network is another one now: the mean is of its steps alone."""
        self._steps = 0
        self._follow(1.0, moved=False)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next mean depends on, the learning network aside."""
        return {"weights": save_weights(self.network), "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood; the learning network is there already.

        Raises ModelError when the weights are of another architecture.
        """
        self._steps = state["steps"]
        if self.network is not self._learning:
            found = load_weights(self.network.layout, state["weights"], "checkpoint")
            self.network.load_state_dict(found.state_dict())

    @torch.no_grad()
    def _follow(self, share: float, *, moved: bool) -> None:
        if self.network is self._learning:
            return
        for mean, weight in zip(self.network.parameters(), self._learning.parameters(), strict=True):
            if weight.grad is not None or not moved:
                mean.lerp_(weight, share)
        for mine, its in zip(self.network.buffers(), self._learning.buffers(), strict=True):
            mine.copy_(its)
        if self._learning.private is not None and self.network.private is not None:
            self.network.private.detach_tasks(self._learning.detached)
