"""Losses per row, each standardised so that 1 is about what knowing nothing costs.

Forecast: what persistence's median costs when changes are Laplace, of mean size one scale, growing as the root of the
horizon. Anomaly: an even guess, faulty and sound rows weighing half each (the probability is at even odds). State and
event: an even guess among the classes. With that, equal weights mean equal importance, whatever loss a task learns by.

N rows, S signals that are forecast, H horizons, Q quantiles, C classes, W windows or pieces, G kinds of rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from schemas.horizon import rows_of
from schemas.layout import Layout
from schemas.loss import Loss
from schemas.task import Task
from trainer.criteria import huber, pinball, squared, surprise
from trainer.network import Outputs

_FARTHEST = 20.0
"""Targets count at most this many scales from the last value: one outlier must not own a step."""
KINDS = 2
"""Of rows, in every task's masses."""
_NOTHING = 1e-9
"""Mass below which there is none to divide by."""
_ALIKE: Mapping[str, Tensor] = {}


@dataclass(frozen=True, slots=True)
class Targets:
    """What came true.

    Attributes:
        future_NSH: the value at each horizon, model scale; NaN = missing, or the row must not teach forecasting.
        faulty_N: 1.0 where a fault was injected, else 0.0.
        known_N: is it known whether the row is faulty? False on padding.
        classes: per state and event task the class, [N] int64; -1 = unknown.
        part_N: what the row is of its piece, 1 / its rows: a label of an entity as a whole counts once, on however many
            rows it stands. None: no row bears such a label.
        hidden_NS: what stood in the row and was hidden from it, model scale; NaN = nothing. None: nothing in any row.
    """

    future_NSH: Tensor
    faulty_N: Tensor
    known_N: Tensor
    classes: tuple[Tensor, ...]
    part_N: Tensor | None = None
    hidden_NS: Tensor | None = None

    def to(self, device: torch.device) -> "Targets":
        """The same on a device."""
        return Targets(
            future_NSH=self.future_NSH.to(device),
            faulty_N=self.faulty_N.to(device),
            known_N=self.known_N.to(device),
            classes=tuple(class_N.to(device) for class_N in self.classes),
            part_N=None if self.part_N is None else self.part_N.to(device),
            hidden_NS=None if self.hidden_NS is None else self.hidden_NS.to(device),
        )

    def among(self, row_N: Tensor) -> "Targets":
        """The same of some rows; nothing is known of the others."""
        return replace(
            self,
            future_NSH=torch.where(row_N[:, None, None], self.future_NSH, torch.nan),
            faulty_N=self.faulty_N * row_N,
            known_N=self.known_N & row_N,
            classes=tuple(torch.where(row_N, class_N, -1) for class_N in self.classes),
            hidden_NS=None if self.hidden_NS is None else torch.where(row_N[:, None], self.hidden_NS, torch.nan),
        )


@dataclass(frozen=True, slots=True)
class TaskLoss:
    """One task's loss. `weight_N` sums to 1, or is all 0 where nothing could be judged."""

    task: str
    loss_N: Tensor
    weight_N: Tensor

    def mean(self) -> Tensor:
        """The step's loss, a scalar."""
        return (self.loss_N * self.weight_N).sum()

    def judged(self) -> bool:
        """Was there anything to judge?"""
        return bool(self.weight_N.any())

    def by_window(self, window_N: Tensor, w: int) -> Tensor:
        """Contribution of each window, [W], scaled so that their mean over judged windows is `mean()`; NaN unjudged."""
        sums_W = self.loss_N.new_zeros(w).index_add_(0, window_N, self.loss_N.detach() * self.weight_N)
        weight_W = self.weight_N.new_zeros(w).index_add_(0, window_N, self.weight_N)
        judged_W = weight_W > 0
        return torch.where(judged_W, sums_W * judged_W.sum(), torch.nan)


@dataclass(frozen=True, slots=True)
class RowLoss:
    """One task's loss row by row, before rows are weighed against each other.

    Attributes:
        task: its name.
        loss_N: of each row.
        mass_NG: how much each row has to say of each kind, 0 where it could not be judged. Kinds weigh alike, however
            many rows there are of each: the anomaly task's are faulty and sound; other tasks know one, the first.
    """

    task: str
    loss_N: Tensor
    mass_NG: Tensor

    def weighed(self) -> TaskLoss:
        """Against each other, as in a step: there are no other rows."""
        return TaskLoss(self.task, self.loss_N, evened(self.mass_NG, self.mass_NG.sum(0)))

    def sums(self, part_N: Tensor, w: int) -> tuple[Tensor, Tensor]:
        """Of each window or piece: loss times mass, and mass, summed over its rows; [W, G] each."""
        of_rows = self.loss_N.detach()[:, None] * self.mass_NG, self.mass_NG
        loss_WG, mass_WG = (each.new_zeros(w, each.shape[1]).index_add_(0, part_N, each) for each in of_rows)
        return loss_WG, mass_WG


def evened(sum_G: Tensor, mass_G: Tensor) -> Tensor:
    """What stands by kinds of rows as one: each kind over all of its mass, those that there are weighing alike.

    Args:
        sum_G: [..., G].
        mass_G: of all rows, [..., G].
    """
    return (sum_G / mass_G.clamp(min=_NOTHING)).sum(-1) / (mass_G > 0).sum(-1).clamp(min=1)


def task_losses(
    outputs: Outputs, targets: Targets, layout: Layout, class_weights: Mapping[str, Tensor] = _ALIKE
) -> list[TaskLoss]:
    """The step's losses, as `row_losses` has them."""
    return [each.weighed() for each in row_losses(outputs, targets, layout, class_weights)]


def row_losses(
    outputs: Outputs, targets: Targets, layout: Layout, class_weights: Mapping[str, Tensor] = _ALIKE
) -> list[RowLoss]:
    """Losses of forecast, anomaly, each state and each event task, in that order.

    Args:
        outputs: what the network said.
        targets: what came true.
        layout: the tasks and the losses they learn by.
        class_weights: task -> weight of each of its classes, [C]; where none is given, classes count alike.
    """
    losses = [forecast_loss(outputs, targets, layout), _anomaly(outputs, targets, layout)]
    for task, logits_NC, class_N in zip([*layout.states, *layout.events], outputs.states, targets.classes, strict=True):
        part_N = targets.part_N if task.of_whole else None
        losses.append(_choice(task, logits_NC, class_N, class_weights.get(task.name), part_N))
    return losses


def forecast_loss(outputs: Outputs, targets: Targets, layout: Layout) -> RowLoss:
    """Of all quantiles at all horizons, each signal in its own scale."""
    task = layout.forecast
    error_NSHQ, known_NSH1 = _errors(outputs, targets, layout)
    quantile_Q = error_NSHQ.new_tensor(task.quantiles)
    typical_H = error_NSHQ.new_tensor([rows_of(horizon) for horizon in task.horizons]).sqrt()
    unit_H = 0.5 * typical_H
    cost_NSHQ = pinball(error_NSHQ, quantile_Q)
    if task.criterion.name != "pinball":
        change_NSH = error_NSHQ[..., task.quantiles.index(0.5)] / typical_H
        middle_NSH = _point(change_NSH, task.criterion) * unit_H
        cost_NSHQ = torch.where(quantile_Q == 0.5, middle_NSH[..., None], cost_NSHQ)
    count_N = known_NSH1.float().sum((1, 2, 3))
    loss_N = (cost_NSHQ.mean(-1) / unit_H).sum((1, 2)) / count_N.clamp(min=1.0)
    return RowLoss(task.name, loss_N, _of_one_kind(count_N))


def _errors(outputs: Outputs, targets: Targets, layout: Layout) -> tuple[Tensor, Tensor]:
    """(came - forecast, in scales, 0 where unknown, [N, S, H, Q]; is it known, [N, S, H, 1])."""
    last_NS11 = outputs.observed.last_NS[:, : layout.n_targets, None, None]
    scale_NS11 = outputs.scale_NS[..., None, None]
    wanted_NSH1 = ((targets.future_NSH[..., None] - last_NS11) / scale_NS11).clamp(-_FARTHEST, _FARTHEST).float()
    known_NSH1 = ~wanted_NSH1.isnan()
    given_NSHQ = ((outputs.forecast_NSHQ - last_NS11) / scale_NS11).float()
    return torch.where(known_NSH1, wanted_NSH1 - given_NSHQ, 0.0), known_NSH1


def _point(change: Tensor, loss: Loss) -> Tensor:
    """Cost of an error given in typical changes over its horizon."""
    return huber(change, loss.delta) if loss.name == "huber" else squared(change)


def _anomaly(outputs: Outputs, targets: Targets, layout: Layout) -> RowLoss:
    faulty_N = targets.faulty_N
    nats_N = functional.binary_cross_entropy_with_logits(outputs.anomaly_N, faulty_N, reduction="none")
    mass_NG = torch.stack([faulty_N, (1.0 - faulty_N) * targets.known_N], -1)
    return RowLoss(layout.anomaly.name, surprise(nats_N, layout.anomaly.criterion, 2), mass_NG)


def _choice(task: Task, logits_NC: Tensor, class_N: Tensor, weight_C: Tensor | None, part_N: Tensor | None) -> RowLoss:
    """Of a state, or of an event: that is the choice between no and yes."""
    answer_N = class_N.clamp(min=0)
    nats_N = functional.cross_entropy(logits_NC, answer_N, reduction="none")
    loss_N = surprise(nats_N, task.criterion, logits_NC.shape[1])
    if weight_C is not None:
        loss_N = loss_N * weight_C[answer_N]
    known_N = (class_N >= 0).float()
    return RowLoss(task.name, loss_N, _of_one_kind(known_N if part_N is None else known_N * part_N))


def _of_one_kind(mass_N: Tensor) -> Tensor:
    return torch.stack([mass_N, torch.zeros_like(mass_N)], -1)
