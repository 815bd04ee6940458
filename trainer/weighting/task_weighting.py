"""A step's backward pass with its tasks weighted as configured: what the learner holds.

K tasks, J of them judged in a step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from schemas.components import TrainingSettings
from schemas.task import Task
from trainer.losses import TaskLoss
from trainer.weighting.evidence import Evidence, Setting
from trainer.weighting.gradients import Held, behind, join, pass_back, split
from trainer.weighting.methods import WEIGHTINGS
from trainer.weighting.ranks import pool_gramian, pool_losses
from trainer.weighting.saved import restore, saved
from trainer.weighting.similarity import Similarity


@dataclass(frozen=True, slots=True)
class Weighed:
    """A step with its weights.

    Attributes:
        tasks: names.
        loss_K: before the update.
        weight_K: configured weight times the method's.
        judged_K: bool; a task that was not has no loss to weigh.
        evidence: what the method was told; None where it was not asked.
        gramian_KK: inner products of the tasks' gradients where they were looked at.
        held: what the next steps may do instead of looking again.
    """

    tasks: Sequence[str]
    loss_K: Tensor
    weight_K: Tensor
    judged_K: Tensor
    evidence: Evidence | None = None
    gramian_KK: Tensor | None = None
    held: Held | None = None

    @property
    def loss(self) -> float:
        """The weighted sum."""
        return float((self.loss_K * self.weight_K).sum())

    @property
    def losses(self) -> dict[str, float]:
        """Task -> loss, of the tasks that were judged."""
        return self._judged(self.loss_K)

    @property
    def weights(self) -> dict[str, float]:
        """Task -> weight, of the tasks that were judged."""
        return self._judged(self.weight_K)

    def _judged(self, value_K: Tensor) -> dict[str, float]:
        rows = zip(self.tasks, value_K.tolist(), self.judged_K.tolist(), strict=True)
        return {task: value for task, value, judged in rows if judged}


class TaskWeighting:
    """Weighs tasks step by step. Its state belongs to the learner, never to a published version.

    A method that reads gradients looks at them every so many steps, for each set of tasks that is judged together, and
    its weights are held in between (as Navon et al., 2022, do). Weights are worked out on the CPU: they are K numbers.

    Args:
        tasks: in the order of their losses; their configured weights multiply what the method says.
        settings: which method, how fast it learns, how often gradients are looked at.
        seed: of methods that draw.
        group: ranks that learn together: they then weigh alike, and what remains is to average `.grad` over them.
    """

    def __init__(
        self, tasks: Sequence[Task], settings: TrainingSettings, seed: int, group: ProcessGroup | None = None
    ) -> None:
        self._names = [task.name for task in tasks]
        self._preference_K = torch.tensor([task.weight for task in tasks])
        setting = Setting(len(tasks), settings.weighting_rate, torch.Generator().manual_seed(seed))
        self._method = WEIGHTINGS[settings.weighting](setting)
        self._settings, self._group = settings, group
        self._behind: list[Tensor] = []
        self._held: dict[tuple[bool, ...], Held] = {}
        self._steps = 0
        self.similarity = Similarity(len(tasks))

    def backward(self, losses: Sequence[TaskLoss], shared: Tensor, weights: Sequence[Tensor]) -> Weighed:
        """Weigh a step and set its gradients.

        Args:
            losses: of the K tasks.
            shared: the representation through which they all depend on the trunk.
            weights: the network's, the same ones every time, their `.grad` None.
        """
        self._steps += 1
        means = [each.mean() for each in losses]
        loss_K, judged_K = self.pooled(losses)
        if not judged_K.any():  # every task is detached, or none was told of: what is shared rests
            return Weighed(self._names, loss_K, self._preference_K.clone(), judged_K)
        if not self._method.reads_gradients:
            return self._by_loss(means, loss_K, judged_K, shared)
        self._behind = self._behind or behind(shared, weights)
        held = self._held.get(tuple(judged_K.tolist()))
        if held is None or self._steps - held.since >= self._settings.gradients_every:
            return self._by_task(means, loss_K, judged_K, shared)
        pass_back(means, held, self._behind)
        return Weighed(self._names, loss_K, held.weight_K.cpu(), judged_K)

    def learn(self, weighed: Weighed, again: Callable[[], Sequence[TaskLoss]]) -> None:
        """The step was taken.

        Args:
            weighed: of `backward`.
            again: judges the same rows once more, without gradients; called only by a method that wants to know.
        """
        if weighed.gramian_KK is not None:
            self.similarity.add(weighed.gramian_KK)
        if weighed.evidence is not None:
            self._method.learn(weighed.evidence, lambda: self.pooled(again())[0])
        if weighed.held is not None:
            self._held[tuple(weighed.judged_K.tolist())] = weighed.held

    def pooled(self, losses: Sequence[TaskLoss]) -> tuple[Tensor, Tensor]:
        """Means over all ranks, [K], and which tasks were judged by any, [K] bool: the same on every rank."""
        loss_K = torch.stack([each.mean().detach() for each in losses]).cpu()
        return pool_losses(loss_K, torch.tensor([each.judged() for each in losses]), self._group)

    def metrics(self, weighed: Weighed) -> dict[str, float]:
        """`<task>.loss`, `<task>.weight`, and where gradients were looked at, `<task>.similarity_<other>`."""
        found = {f"{task}.loss": loss for task, loss in weighed.losses.items()}
        found |= {f"{task}.weight": weight for task, weight in weighed.weights.items()}
        return found if weighed.gramian_KK is None else found | self.similarity.metrics(self._names)

    def state_dict(self) -> dict[str, Any]:
        """What the next steps are weighed by."""
        return {
            "steps": self._steps,
            "similarity": self.similarity.state_dict(),
            "method": saved(self._method),
            "held": [
                {"judged": list(judged), "weight": held.weight_K, "scales": list(held.scales), "since": held.since}
                for judged, held in self._held.items()
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood."""
        self._steps = state["steps"]
        self.similarity.load_state_dict(state["similarity"])
        restore(self._method, state["method"])
        self._held = {
            tuple(each["judged"]): Held(each["weight"], each["scales"], each["since"]) for each in state["held"]
        }

    def _by_loss(self, means: list[Tensor], loss_K: Tensor, judged_K: Tensor, shared: Tensor) -> Weighed:
        """One plain pass; the tasks' gradients are looked at now and then, and change nothing."""
        every, gramian_KK = self._settings.similarity_every, None
        if every and self._steps % every == 0:
            gramian_KK = pool_gramian(split(means, judged_K, shared).gramian().cpu(), self._group)
        weighed = self._weigh(loss_K, judged_K, gramian_KK)
        (torch.stack(means) * weighed.weight_K.to(shared.device)).sum().backward()
        return weighed

    def _by_task(self, means: list[Tensor], loss_K: Tensor, judged_K: Tensor, shared: Tensor) -> Weighed:
        gradients = split(means, judged_K, shared, self._behind)
        weighed = self._weigh(loss_K, judged_K, pool_gramian(gradients.gramian().cpu(), self._group))
        held = join(gradients, weighed.weight_K, self._preference_K, shared, self._behind, self._steps)
        return replace(weighed, held=held)

    def _weigh(self, loss_K: Tensor, judged_K: Tensor, gramian_KK: Tensor | None) -> Weighed:
        weight_K = self._preference_K.clone()
        evidence = self._evidence(loss_K, judged_K, gramian_KK)
        if evidence is not None:
            weight_K[evidence.task_J] *= self._method.weigh(evidence)
        return Weighed(self._names, loss_K, weight_K, judged_K, evidence, gramian_KK)

    def _evidence(self, loss_K: Tensor, judged_K: Tensor, gramian_KK: Tensor | None) -> Evidence | None:
        """None where there is nothing to weigh, or something is not finite: the guard then refuses the step."""
        task_J = (judged_K & (self._preference_K > 0.0)).nonzero().squeeze(1)
        loss_J = loss_K[task_J]
        gramian_JJ = None if gramian_KK is None else gramian_KK[task_J][:, task_J]
        finite = loss_J.isfinite().all() and (gramian_JJ is None or gramian_JJ.isfinite().all())
        return Evidence(task_J, self._preference_K[task_J], loss_J, gramian_JJ) if len(task_J) and finite else None
