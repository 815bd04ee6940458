"""Which epoch was best, of each task and of all together, and when there is nothing more to wait for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trainer.judging import Judgement

ALL = "all"
"""The mean over tasks: the epoch whose version serves. No task may be called so within a run's checkpoints."""
_LEAST = 1e-4
"""An improvement below this, in standardised loss, is none."""


@dataclass(slots=True)
class Best:
    """Each task's best epoch so far, by validation loss.

    Attributes:
        patience: epochs without one before fitting ends.
        epoch: task, and `ALL`, -> the number of its best epoch.
        loss: what it was worth.
        newest: the last epoch judged.
    """

    patience: int
    epoch: dict[str, int] = field(default_factory=dict)
    loss: dict[str, float] = field(default_factory=dict)
    newest: int = 0

    def add(self, number: int, judgement: Judgement) -> list[str]:
        """Take an epoch in; returns the tasks, and `ALL`, of which it is the best so far."""
        self.newest = number
        found: Mapping[str, float] = {**judgement.losses, ALL: judgement.mean}
        better = [name for name, loss in found.items() if loss < self.loss.get(name, float("inf")) - _LEAST]
        for name in better:
            self.epoch[name], self.loss[name] = number, found[name]
        return better

    @property
    def ended(self) -> bool:
        """Has no task improved for long?"""
        return self.newest - max(self.epoch.values(), default=0) >= self.patience
