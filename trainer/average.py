"""What is offered for service: the mean of the weights of the last steps, not those of the last one.

Steps of a constant size never come to rest: they circle a minimum, and the mean of where they have been is nearer to
it (Polyak and Juditsky, 1992; Ruppert, 1988). Online the minimum moves, so old steps fade; and while much is still
learned from each, few count. Labels of whole entities are few and each says little, so that the private paths that
learn from them alone circle far out: of their steps more count.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import Parameter

from trainer.network import Network
from trainer.weights import load_weights, save_weights

_YOUNG = 10.0
"""A mean over about one in so many of all steps until now, until that is what the settings say."""
_OF_WHOLE = 10
"""Times as many steps count of a path that is taught of whole entities."""
_YOUNG_OF_WHOLE = 4.0
"""The same as of others, of the steps that taught it."""


class Average:
    """Follows a network that learns.

    Args:
        network: that one.
        span: steps that count; 1: the mean is the network itself.
    """

    def __init__(self, network: Network, span: int) -> None:
        self._learning, self._span, self._steps, self._told = network, span, 0, 0
        self._of_whole = _of_whole(network)
        self.network = network if span == 1 else copy.deepcopy(network)

    def add(self) -> None:
        """A step was taken. What has no gradient rested, and is still the mean of its own last steps.

        What is no weight (statistics, who is detached) is the network's own.
        """
        self._steps += 1
        self._told += any(weight.grad is not None for weight in self._of_whole)
        longest = _OF_WHOLE * self._span
        self._follow(
            1.0 / min(self._span, 1.0 + self._steps / _YOUNG),
            1.0 / min(longest, 1.0 + self._told / _YOUNG_OF_WHOLE),
            moved=True,
        )

    def begin(self) -> None:
        """The network is another one now: the mean is of its steps alone."""
        self._steps = self._told = 0
        self._follow(1.0, 1.0, moved=False)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next mean depends on, the learning network aside."""
        return {"weights": save_weights(self.network), "steps": self._steps, "told": self._told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood; the learning network is there already.

        Raises ModelError when the weights are of another architecture.
        """
        self._steps, self._told = state["steps"], state.get("told", 0)
        if self.network is not self._learning:
            found = load_weights(self.network.layout, state["weights"], "checkpoint")
            self.network.load_state_dict(found.state_dict())

    @torch.no_grad()
    def _follow(self, share: float, share_of_whole: float, *, moved: bool) -> None:
        if self.network is self._learning:
            return
        for mean, weight in zip(self.network.parameters(), self._learning.parameters(), strict=True):
            if weight.grad is not None or not moved:
                mean.lerp_(weight, share_of_whole if weight in self._of_whole else share)
        for mine, its in zip(self.network.buffers(), self._learning.buffers(), strict=True):
            mine.copy_(its)
        if self._learning.private is not None and self.network.private is not None:
            self.network.private.detach_tasks(self._learning.detached)


def _of_whole(network: Network) -> set[Parameter]:
    """Weights of the private paths of tasks that labels of whole entities teach."""
    if network.private is None:
        return set()
    tasks = [place for place, task in enumerate(network.layout.tasks) if task.of_whole]
    return {weight for task in tasks for module in network.private.own(task) for weight in module.parameters()}
