"""Losses per row, each standardised so that 1 is about what knowing nothing costs; and how tasks are weighted.

Forecast: pinball over what persistence's median costs when the mean change is one scale and grows as the root of
the horizon. Anomaly: binary cross-entropy over ln 2, faulty and sound rows weighing half each (the probability is
at even odds). State: cross-entropy over ln C. With that, equal weights mean equal importance.

N rows, S signals that are forecast, H horizons, Q quantiles, K tasks, C classes, W windows.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from schemas.horizon import rows_of
from schemas.layout import Layout
from trainer.network import Outputs

_FARTHEST = 20.0
"""Targets count at most this many scales from the last value: one outlier must not own a step."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What came true.

    Attributes:
        future_NSH: the value at each horizon, model scale; NaN = missing, or the row must not teach forecasting.
        faulty_N: 1.0 where a fault was injected, else 0.0.
        known_N: is it known whether the row is faulty? False on padding.
        classes: per state and event task the class, [N] int64; -1 = unknown.
    """

    future_NSH: Tensor
    faulty_N: Tensor
    known_N: Tensor
    classes: tuple[Tensor, ...]


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


def task_losses(outputs: Outputs, targets: Targets, layout: Layout) -> list[TaskLoss]:
    """Losses of forecast, anomaly, each state and each event task, in that order."""
    losses = [_forecast(outputs, targets, layout), _anomaly(outputs, targets, layout)]
    pairs = zip(layout.classes, outputs.states, targets.classes, strict=True)
    return losses + [_state(task, logits_NC, class_N) for task, logits_NC, class_N in pairs]


def _forecast(outputs: Outputs, targets: Targets, layout: Layout) -> TaskLoss:
    task = layout.forecast
    last_NS11 = outputs.observed.last_NS[:, : layout.n_targets, None, None]
    scale_NS11 = outputs.scale_NS[..., None, None]
    wanted_NSH1 = ((targets.future_NSH[..., None] - last_NS11) / scale_NS11).clamp(-_FARTHEST, _FARTHEST).float()
    known_NSH1 = ~wanted_NSH1.isnan()
    given_NSHQ = ((outputs.forecast_NSHQ - last_NS11) / scale_NS11).float()
    error_NSHQ = torch.where(known_NSH1, wanted_NSH1 - given_NSHQ, 0.0)
    quantile_Q = given_NSHQ.new_tensor(task.quantiles)
    pinball_NSH = torch.maximum(quantile_Q * error_NSHQ, (quantile_Q - 1.0) * error_NSHQ).mean(-1)
    unit_H = 0.5 * given_NSHQ.new_tensor([rows_of(horizon) for horizon in task.horizons]).sqrt()
    count_N = known_NSH1.float().sum((1, 2, 3))
    loss_N = (pinball_NSH / unit_H).sum((1, 2)) / count_N.clamp(min=1.0)
    return TaskLoss(task.name, loss_N, _shares(count_N))


def _anomaly(outputs: Outputs, targets: Targets, layout: Layout) -> TaskLoss:
    faulty_N = targets.faulty_N
    loss_N = functional.binary_cross_entropy_with_logits(outputs.anomaly_N, faulty_N, reduction="none") / math.log(2)
    share_N = _shares(faulty_N) + _shares((1.0 - faulty_N) * targets.known_N)
    return TaskLoss(layout.anomaly.name, loss_N, _shares(share_N))


def _state(task: str, logits_NC: Tensor, class_N: Tensor) -> TaskLoss:
    loss_N = functional.cross_entropy(logits_NC, class_N.clamp(min=0), reduction="none") / math.log(logits_NC.shape[1])
    return TaskLoss(task, loss_N, _shares((class_N >= 0).float()))


def _shares(weight_N: Tensor) -> Tensor:
    return weight_N / weight_N.sum().clamp(min=1e-9)


Weighting = Callable[[Tensor, Tensor], Tensor]
"""(losses [K], configured weights [K]) -> the scalar to minimise."""


def equal(loss_K: Tensor, weight_K: Tensor) -> Tensor:
    """Standardised losses times their configured weights: level with learned weightings where it was measured."""
    return (loss_K * weight_K).sum()


WEIGHTINGS: dict[str, Weighting] = {"equal": equal}
"""`training.weighting` -> how task losses become one."""
