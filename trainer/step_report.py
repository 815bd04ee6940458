"""What a step reports: losses and metrics from before its update, of all ranks together.

K tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch.distributed import ProcessGroup

from schemas.label import Label
from schemas.layout import Layout
from schemas.observation import Ranges
from trainer.lesson import Lesson
from trainer.losses import TaskLoss
from trainer.metrics import metrics_of
from trainer.network import Outputs
from trainer.told import Told
from trainer.weighting.ranks import pool_losses, pool_metrics

_RECENT = 0.1
"""Rate at which the metrics that a published version is recorded with forget."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step.

    Attributes:
        step: steps taken or refused so far, this one included.
        events: rows learned from so far.
        losses: per task, standardised, before this step's update (prequential); only tasks that could be judged.
        weights: what those losses were multiplied with in this step; 0 of a detached task, which moves nothing shared.
        metrics: `<task>.<metric>`, prequential too.
        gradient_norm: before clipping.
        refused: why the step was not taken; None = it was.
        ranges: offsets it came from, [first, next).
        taught: label of this rank -> the probability that the network gave to what it says, before it learned from it.
        told: the pieces that labels taught on this rank; None: it learned from windows.
    """

    step: int
    events: int
    losses: Mapping[str, float]
    weights: Mapping[str, float]
    metrics: Mapping[str, float]
    gradient_norm: float
    refused: str | None
    ranges: Ranges
    taught: Mapping[Label, float] = field(default_factory=dict)
    told: Told | None = None


class Recent:
    """Running means of metrics: what a published version is recorded with."""

    def __init__(self) -> None:
        self.means: dict[str, float] = {}

    def add(self, metrics: Mapping[str, float]) -> None:
        """Another step's."""
        for name, value in metrics.items():
            self.means[name] = self.means.get(name, value) * (1.0 - _RECENT) + value * _RECENT


def losses_of(losses: Sequence[TaskLoss], group: ProcessGroup | None) -> dict[str, float]:
    """Task -> loss, of the tasks that any rank could judge."""
    loss_K = torch.stack([each.mean().detach() for each in losses]).cpu()
    pooled = pool_losses(loss_K, torch.tensor([each.judged() for each in losses]), group)
    found = zip(losses, *(each.tolist() for each in pooled), strict=True)
    return {each.task: loss for each, loss, judged in found if judged}


@torch.no_grad()
def measured(lesson: Lesson, outputs: Outputs, layout: Layout, group: ProcessGroup | None) -> dict[str, float]:
    """`<task>.<metric>` of what was never learned from."""
    return pool_metrics([(lesson.fresh, metrics_of(outputs, lesson.judged, layout))], group)
