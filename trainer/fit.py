"""Fitting: epochs over history, every task learning together, judged after each epoch on what was kept aside."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, distributed
from torch.distributed import ProcessGroup

from schemas.layout import Layout
from schemas.observation import Float64
from trainer.attachment import Attachment, TaskSharing, WayLosses
from trainer.chapter import Chapter, chapter_of
from trainer.descent import PACE, Descent, Slope
from trainer.held import Held
from trainer.history import Piece, Stream
from trainer.judging import Judgement, judge
from trainer.losses import Targets, TaskLoss
from trainer.network import Network, Outputs, State
from trainer.optimisers import highest_rate
from trainer.precision import PRECISIONS
from trainer.rows import to_model
from trainer.weighting.ranks import pool_mean, pool_most

_LEAST_RATE = 0.01
"""Of the highest learning rate, at the end."""
_LEAST_STEPS = 16
"""Of an epoch: a short history is learned from in smaller steps."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One time through the history.

    Attributes:
        number: from 1.
        most: epochs there will be, if every one helps.
        losses: per task, mean over the steps, before each one's update.
        weights: what they were multiplied with, in the last step.
        gradient_norm: mean over the steps, before clipping.
        attention: each task's mean attention to each modality, of the last step.
        similarity: `<task>.similarity_<other>`, running cosines of the tasks' gradients.
        ways: `<task>.shared_loss` and `<task>.private_loss`, means over the steps; empty without private paths.
        refused: steps that were not taken.
        validation: afterwards.
        sharing: task -> the way that serves it from now on, and what both lost there; empty without private paths.
    """

    number: int
    most: int
    losses: Mapping[str, float]
    weights: Mapping[str, float]
    gradient_norm: float
    attention: Mapping[str, float]
    similarity: Mapping[str, float]
    ways: Mapping[str, float]
    refused: int
    validation: Judgement
    sharing: Mapping[str, TaskSharing]


class Fit:
    """A network and what it learns from. The same seed gives the same weights, bit for bit (on one thread).

    Args:
        network: learns in place.
        layout: its monitor; `fitting` holds the settings.
        pieces: what this rank learns from; at least one.
        validation: what is judged, the same on all ranks: they share the work.
        seed: of order, faults and what is hidden.
        group: ranks that learn together, each with other entities; all end up with the same weights.
        device: where the network computes.
    """

    def __init__(
        self,
        network: Network,
        layout: Layout,
        pieces: Sequence[Piece],
        validation: Sequence[Piece],
        seed: int,
        group: ProcessGroup | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.network = network.to(self.device)
        self._layout, self._settings = layout, layout.monitor.fitting
        self._pieces, self._validation = pieces, validation
        self._seed, self._group = seed, group
        self._precision = PRECISIONS[self._settings.precision]
        self._highest = highest_rate(self._settings, layout.monitor.training.optimiser)
        rates = {"learning_rate": self._highest, "weight_decay": self._settings.weight_decay}
        training = layout.monitor.training.model_copy(update=rates)
        self.descent = Descent(network, layout, training, seed, group, self._settings.trunk_rate)
        self._resting = _resting(layout)
        self._held = Held(network, self._resting)
        self._steps_per_epoch = _steps(len(pieces), self._settings.pieces_per_step, group)
        self.epochs = 0

    def epoch(self) -> Epoch:
        """Learn from everything once, then judge."""
        slopes, ways, looked = [], [], []
        for number, chapter in enumerate(self._chapters()):
            self._set_rate(self.epochs * self._steps_per_epoch + number)
            slope, outputs, losses = self._step(chapter)
            slopes.append(slope)
            ways.append(losses.metrics([task.name for task in self._layout.tasks]))
            looked.append(_attention(outputs, chapter, self._layout))
        self.epochs += 1
        self._pool_standing()
        self._held.put_back()
        validation, sharing = self._judge_ways()
        return Epoch(
            number=self.epochs,
            most=self._settings.epochs,
            losses=_means([slope.weighed.losses for slope in slopes]),
            weights=slopes[-1].weighed.weights,
            gradient_norm=float(np.mean([slope.norm for slope in slopes])),
            attention=_means(looked),
            similarity=self.descent.weighting.similarity.metrics([task.name for task in self._layout.tasks]),
            ways=_means(ways),
            refused=sum(slope.refused is not None for slope in slopes),
            validation=validation,
            sharing=sharing,
        )

    def _judge_ways(self) -> tuple[Judgement, Mapping[str, TaskSharing]]:
        """Judge, and serve each task from now on by the way that generalises better.

        Not while the rate still rises: until then the smaller network is ahead, whatever sharing will do.
        """
        validation, private = judge(self.network, self._validation, self._group), self.network.private
        if private is None:
            return validation, {}
        assert validation.ways is not None
        attachment = Attachment(self._layout, len(validation.loss_WK))
        attachment.add(*validation.ways)
        risen = self.epochs > self._settings.warm_up * self._settings.epochs
        changing = {change.task for change in attachment.due(private.detached) if risen} - self._resting
        if changing:
            private.detach_tasks([(task in changing) != was for task, was in enumerate(private.detached)])
            validation = judge(self.network, self._validation, self._group)
        return validation, attachment.standing(private.detached)

    def _chapters(self) -> Iterator[Chapter]:
        """All pieces in random order; a rank with fewer than the others sees some of them again."""
        rank = 0 if self._group is None else distributed.get_rank(self._group)
        rng = np.random.default_rng([self._seed, self.epochs, rank])
        order = rng.permutation(len(self._pieces))
        order = np.resize(order, max(len(order), self._steps_per_epoch))
        for places in np.array_split(order, self._steps_per_epoch):
            pieces = [self._pieces[place] for place in places.tolist()]
            hidden = self._settings.hide_signals, self._settings.hide_from_events
            yield chapter_of(pieces, self._layout, rng, *hidden).to(self.device)

    def _step(self, chapter: Chapter) -> tuple[Slope, Outputs, WayLosses]:
        self.network.train()
        state = self._start(chapter)
        outputs, _ = self.network(
            chapter.rows, state, both_ways=True, precision=self._precision, shown_NS=chapter.shown_NS
        )
        losses = self._losses(outputs, chapter.targets)
        slope = self.descent.look(losses, outputs.shared)
        if slope.refused is None:
            self.descent.step(slope, chapter.targets, lambda: self._again(chapter, state, outputs))
            if self.epochs == 0:
                self.network.standing.learn(outputs.standing, chapter.targets.classes, chapter.clean_N)
                self.network.regress(outputs, chapter.targets.future_NSH, self._group)
        self._held.put_back()
        self.descent.clear()
        return slope, outputs, losses

    def _start(self, chapter: Chapter) -> State:
        """Hidden states in float32: only serving rounds them."""
        start = chapter.start(self.network)
        return start | {"hidden": start["hidden"].float()}

    @torch.no_grad()
    def _again(self, chapter: Chapter, state: State, outputs: Outputs) -> list[TaskLoss]:
        now, _ = self.network(
            chapter.rows,
            state,
            observed=outputs.observed,
            both_ways=True,
            precision=self._precision,
            shown_NS=chapter.shown_NS,
        )
        return self._losses(now, chapter.targets).pulling

    def _losses(self, outputs: Outputs, targets: Targets) -> WayLosses:
        """What the network learns by; judging knows the tasks' own losses alone."""
        return self.descent.ways(outputs, targets)

    def _pool_standing(self) -> None:
        """What followed what, of all ranks' entities."""
        for seen_WC in self.network.standing.buffers():
            seen_WC.copy_(pool_mean(seen_WC, self._group))

    def _set_rate(self, step: int) -> None:
        steps = self._settings.epochs * self._steps_per_epoch
        rate = self._highest * share_of_rate(step, steps, self._settings.warm_up)
        for parameters in self.descent.optimiser.param_groups:
            parameters["lr"] = rate * parameters.get(PACE, 1.0)


def share_of_rate(step: int, steps: int, warm_up: float) -> float:
    """What a step's learning rate is of the highest one: it rises as a line, then falls as half a cosine.

    One cycle without the second rise (Smith and Topin, 2019; Loshchilov and Hutter, 2017).
    """
    rising = warm_up * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    done = (step - rising) / max(steps - rising, 1)
    return _LEAST_RATE + (1.0 - _LEAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def meet(network: Network, streams: Sequence[Stream]) -> None:
    """Place every value of the training part among the population, and among its entity's groups, once.

    A trunk that stays as it is reads values placed as they were when it was learned.
    """
    if not network.layout.monitor.fitting.trunk_rate and network.population.count_S.any():
        return
    for stream in streams:
        network.population.learn(stream.values.copy())
        if len(network.relations):
            value_NS = to_model(stream.values.copy(), network.layout)
            network.relations.learn(torch.from_numpy(value_NS), torch.from_numpy(_carried(value_NS)))


def _carried(value_NS: Float64) -> Float64:
    """The last value of each signal at each row; NaN = none yet."""
    row_NS = np.where(np.isnan(value_NS), 0, np.arange(len(value_NS))[:, None])
    carried: Float64 = np.take_along_axis(value_NS, np.maximum.accumulate(row_NS, axis=0), axis=0)
    return carried


def _steps(pieces: int, per_step: int, group: ProcessGroup | None) -> int:
    """Of an epoch, the same on all ranks: as many as the one with most pieces needs."""
    each = max(per_step // (1 if group is None else group.size()), 1)
    return int(pool_most(torch.tensor([max(-(-pieces // each), min(pieces, _LEAST_STEPS))]), group))


def _resting(layout: Layout) -> set[str]:
    """Tasks that `fitting.only` leaves as they are."""
    only = layout.monitor.fitting.only
    return {task.name for task in layout.tasks if only and task.name not in only}


def _means(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for each in found for name in each)
    return {name: float(np.mean([each[name] for each in found if name in each])) for name in names}


def _attention(outputs: Outputs, chapter: Chapter, layout: Layout) -> dict[str, float]:
    """`<task>.attention_<modality>`, means over the rows that were observed."""
    mean_KM: Tensor = outputs.attention_NKM[chapter.clean_N].detach().mean(0)[:, 1:]
    return {
        f"{task.name}.attention_{modality.name}": float(mean_KM[k, m])
        for k, task in enumerate(layout.tasks)
        for m, modality in enumerate(layout.monitor.modalities)
    }
