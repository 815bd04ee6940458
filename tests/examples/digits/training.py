"""Training: Adam, any way of weighting tasks, and how each task did after each epoch.

N images, K tasks, C classes of a task.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from schemas.components import TrainingSettings
from schemas.loss import Loss
from schemas.task import Task, TaskKind
from tests.examples.digits.images import QUESTIONS, Images
from tests.examples.digits.network import Digits
from trainer.criteria import surprise
from trainer.losses import TaskLoss
from trainer.weighting.task_weighting import TaskWeighting

_BATCH = 32
_LOSS = Loss(name="cross-entropy")


@dataclass(frozen=True, slots=True)
class Figures:
    """One task on one set of images. `loss`: 1 is an even guess among its classes; `accuracy`: a share."""

    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """After an epoch, task -> figures."""

    train: dict[str, Figures]
    validation: dict[str, Figures]


@dataclass(frozen=True, slots=True)
class Lesson:
    """How a network is taught."""

    epochs: int = 30
    weighting: str = "equal"
    seed: int = 0
    rate: float = 1e-3


def fit(network: Digits, tasks: Sequence[str], lesson: Lesson, train: Images, validation: Images) -> list[Epoch]:
    """Teach a network; both sets hold the classes of its tasks alone, in their order."""
    optimiser = torch.optim.Adam(network.parameters(), lr=lesson.rate)
    settings = TrainingSettings.model_validate(
        {"weighting": lesson.weighting, "gradients_every": 1, "similarity_every": 0}
    )
    weighting = TaskWeighting([Task(name=task, kind=TaskKind.EVENT) for task in tasks], settings, lesson.seed)
    order = torch.Generator().manual_seed(lesson.seed)
    epochs = []
    for _ in range(lesson.epochs):
        for batch in torch.randperm(len(train.frame_NCHW), generator=order).split(_BATCH):
            _step(network, tasks, Images(train.frame_NCHW[batch], train.class_KN[:, batch]), weighting, optimiser)
        epochs.append(Epoch(judge(network, tasks, train), judge(network, tasks, validation)))
    return epochs


def losses_of(logits: Sequence[Tensor], tasks: Sequence[str], class_KN: Tensor) -> list[TaskLoss]:
    """Each task's cross-entropy over that of an even guess; images without its label do not count."""
    return [_loss(task, *pair) for task, *pair in zip(tasks, logits, class_KN, strict=True)]


@torch.no_grad()
def judge(network: Digits, tasks: Sequence[str], images: Images) -> dict[str, Figures]:
    """Each task's figures on the images that have its label."""
    logits, _ = network(images.frame_NCHW)
    losses = losses_of(logits, tasks, images.class_KN)
    right = [
        float((logit_NC.argmax(-1) == class_N)[class_N >= 0].float().mean())
        for logit_NC, class_N in zip(logits, images.class_KN, strict=True)
    ]
    return {task: Figures(float(loss.mean()), share) for task, loss, share in zip(tasks, losses, right, strict=True)}


def _step(
    network: Digits, tasks: Sequence[str], images: Images, weighting: TaskWeighting, optimiser: torch.optim.Adam
) -> None:
    def judged() -> tuple[list[TaskLoss], Tensor]:
        logits, shared_ND = network(images.frame_NCHW)
        return losses_of(logits, tasks, images.class_KN), shared_ND

    optimiser.zero_grad(set_to_none=True)
    losses, shared_ND = judged()
    weighed = weighting.backward(losses, shared_ND, list(network.parameters()))
    optimiser.step()
    with torch.no_grad():
        weighting.learn(weighed, lambda: judged()[0])


def _loss(task: str, logit_NC: Tensor, class_N: Tensor) -> TaskLoss:
    known_N = (class_N >= 0).float()
    nats_N = functional.cross_entropy(logit_NC, class_N.clamp(min=0), reduction="none")
    loss_N = surprise(nats_N, _LOSS, QUESTIONS[task].classes)
    return TaskLoss(task, loss_N, known_N / known_N.sum().clamp(min=1.0))
