"""How often each class came of late, and how much more a rare one therefore counts.

C classes, N rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from schemas.layout import Layout
from trainer.weighting.ranks import pool_sum

_RATE = 0.01
"""Of forgetting, a step; until a hundred steps are counted, all count alike."""
_MOST = 10.0
"""A class counts at most so many times as much as the commonest: few labels must not own the steps they are in."""


class Balance:
    """Running class frequencies of the tasks whose loss is `balanced`. Moved by the learner alone.

    Args:
        layout: the tasks and their classes.
        device: where classes are counted and losses weighed.
    """

    def __init__(self, layout: Layout, device: torch.device | None = None) -> None:
        tasks = [*layout.states, *layout.events]
        self._places = {task.name: place for place, task in enumerate(tasks) if task.criterion.balanced}
        self._frequency_C = {name: _even(len(layout.classes[name])).to(device) for name in self._places}
        self._steps = dict.fromkeys(self._places, 1)

    def count(self, classes: Sequence[Tensor], group: ProcessGroup | None = None) -> None:
        """Take a step's classes in, those of all ranks: of every state and event task, [N] int64, -1 = unknown."""
        for name, place in self._places.items():
            known_N = classes[place][classes[place] >= 0]
            count_C = pool_sum(torch.bincount(known_N, minlength=len(self._frequency_C[name])), group)
            if count_C.any():
                self._steps[name] += 1
                came_C = count_C / count_C.sum()
                self._frequency_C[name].lerp_(came_C, max(_RATE, 1.0 / self._steps[name]))

    def state_dict(self) -> dict[str, Any]:
        """What was counted."""
        return {"frequency": dict(self._frequency_C), "steps": dict(self._steps)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what another one counted."""
        for name, mine_C in self._frequency_C.items():
            mine_C.copy_(state["frequency"][name])
        self._steps = {name: int(state["steps"][name]) for name in self._places}

    def weights(self) -> Mapping[str, Tensor]:
        """For each balanced task the weight of each class, [C]: 1 in the mean over rows, the same for all at first."""
        return {name: _inverse(frequency_C) for name, frequency_C in self._frequency_C.items()}


def _even(classes: int) -> Tensor:
    return torch.full((classes,), 1.0 / classes)


def _inverse(frequency_C: Tensor) -> Tensor:
    inverse_C = 1.0 / frequency_C.clamp(min=float(frequency_C.max()) / _MOST)
    return inverse_C / (inverse_C * frequency_C).sum()
