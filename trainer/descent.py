"""One step down the tasks' losses: weighed, clipped, guarded, taken. Learning online and fitting share it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from schemas.components import TrainingSettings
from schemas.layout import Layout
from trainer.adapters import Adapters
from trainer.attachment import WayLosses
from trainer.balance import Balance
from trainer.contradiction import Contradiction
from trainer.guard import Guard
from trainer.losses import Targets, TaskLoss, task_losses
from trainer.network import Network, Outputs
from trainer.optimisers import optimiser_of, rate_of
from trainer.transfer import TASKS, TRUNK, weight_groups
from trainer.weighting.ranks import pool_gradients
from trainer.weighting.task_weighting import TaskWeighting, Weighed


@dataclass(frozen=True, slots=True)
class Slope:
    """A step that may be taken.

    Attributes:
        weighed: its losses, and what they were multiplied with.
        norm: of the gradient, before clipping.
        refused: why it must not be taken; None: it may.
    """

    weighed: Weighed
    norm: float
    refused: str | None


PACE = "pace"
"""Key of an optimiser's groups that learn slower: their share of the learning rate."""


class Descent:
    """A network's optimiser, and everything that decides about its steps.

    Args:
        network: what learns.
        layout: its tasks.
        settings: optimiser, weights of tasks, limits.
        seed: of ways of weighting that draw.
        group: ranks that learn together: each sees other rows, all take the same step.
        trunk_rate: share of the learning rate for what all tasks share; 0 leaves it as it is, decay included.
    """

    def __init__(
        self,
        network: Network,
        layout: Layout,
        settings: TrainingSettings,
        seed: int,
        group: ProcessGroup | None = None,
        trunk_rate: float = 1.0,
    ) -> None:
        self._layout, self._settings, self._group, self._seed = layout, settings, group, seed
        self._network = network
        self._shared = [weight for name, weight in network.named_parameters() if not name.startswith("private.")]
        self.guard = Guard(settings)
        self.optimiser = optimiser_of(_paced(network, trunk_rate), settings)
        self._adapters: Adapters | None = None
        self.balance = Balance(layout, network.device)
        self._contradiction = Contradiction(layout)
        self.weighting = TaskWeighting(layout.tasks, settings, seed, group)

    def losses(self, network: Network, outputs: Outputs, targets: Targets) -> list[TaskLoss]:
        """Of every task, rare classes weighed by how often they came of late, contradictions of what is known added."""
        losses = task_losses(outputs, targets, self._layout, self.balance.weights())
        return self._contradiction.added(losses, outputs, network)

    def ways(self, outputs: Outputs, targets: Targets) -> WayLosses:
        """The same of the learning network, by each way that was asked."""
        if outputs.ways is None:
            return WayLosses(self.losses(self._network, outputs, targets), (), self._network.detached)
        shared, private = (self.losses(self._network, outputs.by(answers), targets) for answers in outputs.ways)
        return WayLosses(shared, private, self._network.detached)

    def look(self, losses: WayLosses, shared: Tensor) -> Slope:
        """Set the gradients of the weighted losses and of the private ones, clipped apart, and judge them.

        Args:
            losses: of the tasks, by each way.
            shared: the representation through which those of the shared way all depend on the trunk.

        A task of which no rank was taught anything rests: of what is its own, `.grad` is None.
        """
        self.clear()
        weighed = self.weighting.backward(losses.pulling, shared, self._shared)
        norm = self._clipped(self._shared)
        if self._network.private is not None:
            heads = [part for task, alone in enumerate(losses.detached) if alone for part in self._network.head(task)]
            losses.aside.backward()
            alone = [weight for module in (self._network.private, *heads) for weight in module.parameters()]
            norm = math.hypot(norm, self._clipped(alone))  # not max: it would lose a NaN
        alike = not any(losses.detached)  # then what serves is what pulls, and was pooled for its weights
        loss_K, judged_K = (weighed.loss_K, weighed.judged_K) if alike else self.weighting.pooled(losses.served)
        taught = judged_K.tolist()
        self._rest([task for task, judged in enumerate(taught) if not judged])
        served = {
            task.name: loss
            for task, loss, judged in zip(self._layout.tasks, loss_K.tolist(), taught, strict=True)
            if judged
        }
        return Slope(weighed, norm, self.guard.refuse(served, norm))

    def step(self, slope: Slope, targets: Targets, again: Callable[[], list[TaskLoss]]) -> None:
        """Take a step that was not refused.

        Args:
            slope: of `look`.
            targets: what the step learned from.
            again: judges the same rows once more, for ways of weighting that ask.
        """
        (self._adapters or self.optimiser).step()
        self.weighting.learn(slope.weighed, again)
        self._network.trunk.relate(self.weighting.similarity.cosine_KK)
        self.balance.count(targets.classes, self._group)

    def hurry(self, times: float) -> None:
        """From now on the learning rate is so many times its own."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate_of(self._settings) * times * group.get(PACE, 1.0)

    def adapt(self, *, by_adapters: bool) -> None:
        """From now on low-rank adapters learn, or the weights themselves; does nothing where they do already."""
        if by_adapters and self._adapters is None:
            self._adapters = self._fresh_adapters()
        elif not by_adapters:
            self._adapters = None

    def of_another(self) -> "Descent":
        """The weights are another version's: everything starts anew, but for what is known of the stream.

        That is how steep and costly its steps are, so that a burst is refused at once, and how rare its classes.
        """
        found = Descent(self._network, self._layout, self._settings, self._seed, self._group)
        found.guard, found.balance = self.guard, self.balance
        return found

    def start_over(self) -> None:
        """The weights are others now: what the optimiser knew of them is forgotten."""
        self.optimiser.state.clear()
        self._adapters = None

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next steps depend on, the weights aside."""
        adapters = {} if self._adapters is None else {"adapters": self._adapters.state_dict()}
        return {name: part.state_dict() for name, part in self._parts().items()} | adapters | {"words": self._words()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood; what the configuration meanwhile names otherwise begins anew."""
        self._adapters = self._adapters_as(state["adapters"]) if "adapters" in state else None
        words = self._words()
        others = {name for name, word in state.get("words", words).items() if word != words[name]}
        if not _alike(self.optimiser, state["optimiser"]):
            others.add("optimiser")
        for name, part in self._parts().items():
            if name not in others:
                part.load_state_dict(state[name])

    def _adapters_as(self, state: Mapping[str, Any]) -> Adapters | None:
        """Those that another one held; None: the configuration has other ones, or none, meanwhile."""
        adapters = self._fresh_adapters() if self._settings.drift.adapter_rank else None
        if adapters is None or not adapters.takes(state):
            return None
        adapters.load_state_dict(state)
        return adapters

    def _fresh_adapters(self) -> Adapters:
        return Adapters(self._shared, self._settings.drift.adapter_rank, rate_of(self._settings), self._seed)

    def _parts(self) -> dict[str, Any]:
        return {
            "optimiser": self.optimiser,
            "guard": self.guard,
            "balance": self.balance,
            "weighting": self.weighting,
        }

    def _words(self) -> dict[str, str]:
        """What the configuration calls those parts of which there are several kinds."""
        return {"optimiser": self._settings.optimiser, "weighting": self._settings.weighting}

    def clear(self) -> None:
        """Forget the gradients."""
        self.optimiser.zero_grad(set_to_none=True)

    def _rest(self, untaught: Sequence[int]) -> None:
        """Keep these tasks' own weights out of the step.

        Their gradients are 0, but momentum would carry them on, and Adam's second moment would forget how steep their
        own steps are: labels that come in one step of six would be learned from at two and a half times the rate.
        """
        private = self._network.private
        for task in untaught:
            for module in (*self._network.head(task), *(private.own(task) if private is not None else ())):
                for weight in module.parameters():
                    weight.grad = None

    def _clipped(self, weights: list[Parameter]) -> float:
        """Average over ranks, then clip; the norm before."""
        pool_gradients(weights, self._group)
        return float(clip_grad_norm_(weights, self._settings.gradient_norm))


def _alike(optimiser: Optimizer, state: Mapping[str, Any]) -> bool:
    """Is it about as many weights, and of the same settings? Of another kind, or of fewer paths, it begins anew."""
    mine, other = (
        [(len(group["params"]), set(group)) for group in groups]
        for groups in (optimiser.param_groups, state["param_groups"])
    )
    return mine == other


def _paced(network: Network, trunk_rate: float) -> list[dict[str, Any]]:
    """Groups of an optimiser: one where all weights learn at the same rate."""
    if trunk_rate == 1.0:
        return [{"params": list(network.parameters())}]
    groups = weight_groups(network)
    return [{"params": groups[TASKS]}, {"params": groups[TRUNK], PACE: trunk_rate}]
