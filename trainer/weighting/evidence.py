"""What a step says of its tasks, and what a way of weighting them must answer.

K tasks, J of them in this step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the J tasks say that were judged in a step; a task that was not judged, or weighs nothing, has no say.

    Attributes:
        task_J: which of the K tasks they are, int64.
        preference_J: their configured weights, all above 0.
        loss_J: their losses before the update, standardised.
        gramian_JJ: inner products of their gradients at the shared representation; None unless the method reads it.
    """

    task_J: Tensor
    preference_J: Tensor
    loss_J: Tensor
    gramian_JJ: Tensor | None

    @property
    def gradients(self) -> Tensor:
        """The Gramian, of which a method that reads gradients is certain, [J, J]."""
        assert self.gramian_JJ is not None
        return self.gramian_JJ


Again = Callable[[], Tensor]
"""The losses of the same rows after the update, [K]: one more forward pass, for the method that asks."""


class Weighting(Protocol):
    """A way of weighting tasks. Its weights are on the scale of equal ones: J in all, where a scale was free."""

    @property
    def reads_gradients(self) -> bool:
        """Does it need the Gramian?"""

    def weigh(self, step: Evidence) -> Tensor:
        """Weights, [J], that the configured ones are then multiplied with; at least one task was judged."""

    def learn(self, step: Evidence, again: Again, /) -> None:
        """The step was taken: adapt the method's own state, if it has any."""


@dataclass(frozen=True, slots=True)
class Stateless:
    """A method that is a function of the step alone."""

    weights: Callable[[Evidence], Tensor]
    reads_gradients: bool = False

    def weigh(self, step: Evidence) -> Tensor:
        """Weights, [J]."""
        return self.weights(step)

    def learn(self, step: Evidence, _: Again, /) -> None:
        """There is no state."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What methods are made with.

    Attributes:
        tasks: K.
        rate: learning rate of learned weights.
        generator: randomness of the methods that draw, the same on every rank.
    """

    tasks: int
    rate: float
    generator: torch.Generator
