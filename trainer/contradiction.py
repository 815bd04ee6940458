"""By how much what the network says contradicts what is known: what it pays for in training.

Hinges, in units of a signal's typical change: nothing where a forecast agrees, the distance where it does not. The
monotone one keeps what a head makes of its own rule rising: logits linear in the rule's score, with slopes that do not
fall from class to class, make the probability of "at least so bad" rise with it (the monotone likelihood ratio).

Medians alone pay. Outer quantiles that leave a range are cut at serving, which is right; made to pay, they drag the
median with them: one-step MASE of ICU laboratory values rose from 1.0 to up to 4.9.

N rows, S signals that are forecast, H horizons, P ordered pairs.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from schemas.layout import Layout
from trainer.known import Drawn, bounds_of, drawn_of, pairs_of
from trainer.losses import TaskLoss
from trainer.network import Network, Outputs


class Contradiction:
    """Adds to the losses of the tasks what their outputs contradict. Nothing is known: nothing is added.

    Args:
        layout: the signals and what is known of them.
    """

    def __init__(self, layout: Layout) -> None:
        knowledge = layout.monitor.knowledge
        self._weight = knowledge.weight
        self._bounds = bounds_of(layout, in_model_scale=True) if knowledge.bounds else None
        self._pairs, self._drawn = pairs_of(layout), drawn_of(layout, in_model_scale=True)
        self._forecasts = bool(self._bounds or self._pairs or self._drawn)
        self._median = layout.forecast.quantiles.index(0.5)
        names = [layout.forecast.name, layout.anomaly.name, *layout.classes]
        self._monotone = [names.index(name) for name in knowledge.monotone if knowledge.features]

    def added(self, losses: list[TaskLoss], outputs: Outputs, network: Network) -> list[TaskLoss]:
        """The losses, each row's with its share."""
        if not self._weight:
            return losses
        found = list(losses)
        if self._forecasts:
            found[0] = _more(
                found[0], self._weight * self.of_forecasts(outputs.forecast_NSHQ[..., self._median], outputs.scale_NS)
            )
        for place in self._monotone:
            found[place] = _more(found[place], self._weight * network.rule_odds.falling(place - 2))
        return found

    def of_forecasts(self, median_NSH: Tensor, scale_NS: Tensor) -> Tensor:
        """Mean distance of each row's medians from what is known, in scales, [N] float64. Model scale; NaN = none."""
        known_NSH = ~median_NSH.isnan()
        value_NSH = torch.where(known_NSH, median_NSH, 0.0)
        per_scale_NS1 = scale_NS.reciprocal()[..., None]
        away_N = value_NSH.new_zeros(len(value_NSH))
        if self._bounds is not None:
            low_S1, high_S1 = (
                value_NSH.new_tensor(each)[:, None] for each in (self._bounds.low_S, self._bounds.high_S)
            )
            away_N = away_N + _total(_outside(value_NSH, low_S1, high_S1) * per_scale_NS1 * known_NSH)
        if self._pairs:
            away_N = away_N + _total(_crossed(value_NSH, known_NSH, per_scale_NS1, self._pairs))
        for each in self._drawn:
            away_N = away_N + _total(_undrawn(each, value_NSH, known_NSH) * per_scale_NS1[:, each.then])
        return away_N / known_NSH.sum((1, 2)).clamp(min=1)


def _outside(value: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    return torch.relu(low - value) + torch.relu(value - high)


def _crossed(value_NSH: Tensor, known_NSH: Tensor, per_scale_NS1: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """By how much pairs stand the wrong way round, in the mean of their scales, [N, P, H]."""
    lower_P, higher_P = (list(side) for side in zip(*pairs, strict=True))
    both_NPH = known_NSH[:, lower_P] & known_NSH[:, higher_P]
    per_scale_NP1 = 0.5 * (per_scale_NS1[:, lower_P] + per_scale_NS1[:, higher_P])
    return torch.relu(value_NSH[:, lower_P] - value_NSH[:, higher_P]) * per_scale_NP1 * both_NPH


def _undrawn(each: Drawn, value_NSH: Tensor, known_NSH: Tensor) -> Tensor:
    """By how much a conclusion is missed where its condition is forecast, [N, H]."""
    holds_NH = (each.sign * value_NSH[:, each.when] > each.sign * each.threshold) & known_NSH[:, each.when]
    return _outside(value_NSH[:, each.then], each.low, each.high) * (holds_NH & known_NSH[:, each.then])


def _total(x: Tensor) -> Tensor:
    return x.flatten(1).sum(1)


def _more(loss: TaskLoss, more: Tensor) -> TaskLoss:
    return replace(loss, loss_N=loss.loss_N + more.float())
