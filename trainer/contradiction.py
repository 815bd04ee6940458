"""By how much what the network says contradicts what is known: what it pays for in training.

Hinges, in units of a signal's typical change: nothing where a forecast agrees, the distance where it does not. The
monotone one keeps what a head makes of its own rule rising: logits linear in the rule's score, with slopes that do not
fall from class to class, make the probability of "at least so bad" rise with it (the monotone likelihood ratio).

N rows, S signals that are forecast, H horizons, Q quantiles, P ordered pairs.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from schemas.layout import Layout
from trainer.known import Bounds, Drawn, bounds_of, drawn_of, pairs_of
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
            found[0] = _more(found[0], self._weight * self.of_forecasts(outputs.forecast_NSHQ, outputs.scale_NS))
        for place in self._monotone:
            found[place] = _more(found[place], self._weight * network.rule_odds.falling(place - 2))
        return found

    def of_forecasts(self, forecast_NSHQ: Tensor, scale_NS: Tensor) -> Tensor:
        """Mean distance of each row's forecasts from what is known, in scales, [N] float64. Model scale; NaN = none."""
        known_NSHQ = ~forecast_NSHQ.isnan()
        value_NSHQ = torch.where(known_NSHQ, forecast_NSHQ, 0.0)
        per_scale_NS11 = scale_NS.reciprocal()[..., None, None]
        away_N = value_NSHQ.new_zeros(len(value_NSHQ))
        if self._bounds is not None:
            outside_NSHQ = _outside(value_NSHQ, *self._on(self._bounds, value_NSHQ)) * per_scale_NS11
            away_N = away_N + _total(outside_NSHQ * known_NSHQ)
        if self._pairs:
            away_N = away_N + _total(_crossed(value_NSHQ, known_NSHQ, per_scale_NS11, self._pairs))
        for each in self._drawn:
            away_N = away_N + _total(self._undrawn(each, value_NSHQ, known_NSHQ) * per_scale_NS11[:, each.then])
        return away_N / known_NSHQ.sum((1, 2, 3)).clamp(min=1)

    def _undrawn(self, each: Drawn, value_NSHQ: Tensor, known_NSHQ: Tensor) -> Tensor:
        """By how much a conclusion is missed where its condition is forecast, [N, H, Q]."""
        when_NH, seen_NH = (x[:, each.when, :, self._median] for x in (value_NSHQ, known_NSHQ))
        holds_NH = (each.sign * when_NH > each.sign * each.threshold) & seen_NH
        outside_NHQ = _outside(value_NSHQ[:, each.then], each.low, each.high)
        return outside_NHQ * (holds_NH[..., None] & known_NSHQ[:, each.then])

    @staticmethod
    def _on(bounds: Bounds, like: Tensor) -> tuple[Tensor, Tensor]:
        low_S, high_S = (like.new_tensor(side)[:, None, None] for side in (bounds.low_S, bounds.high_S))
        return low_S, high_S


def _outside(value: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    return torch.relu(low - value) + torch.relu(value - high)


def _crossed(
    value_NSHQ: Tensor, known_NSHQ: Tensor, per_scale_NS11: Tensor, pairs: Sequence[tuple[int, int]]
) -> Tensor:
    """By how much pairs stand the wrong way round, in the mean of their scales, [N, P, H, Q]."""
    lower_P, higher_P = (list(side) for side in zip(*pairs, strict=True))
    both_NPHQ = known_NSHQ[:, lower_P] & known_NSHQ[:, higher_P]
    per_scale_NP11 = 0.5 * (per_scale_NS11[:, lower_P] + per_scale_NS11[:, higher_P])
    return torch.relu(value_NSHQ[:, lower_P] - value_NSHQ[:, higher_P]) * per_scale_NP11 * both_NPHQ


def _total(x: Tensor) -> Tensor:
    return x.flatten(1).sum(1)


def _more(loss: TaskLoss, more: Tensor) -> TaskLoss:
    return replace(loss, loss_N=loss.loss_N + more.float())
