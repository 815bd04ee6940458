"""Heads: forecast quantiles, anomaly logit, class logits. Untrained ones say what is said when nothing is known.

N rows, S signals that are forecast, H horizons, Q quantiles, G features, D width, C classes, O = H * Q.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.horizon import rows_of
from schemas.layout import Layout
from trainer.products import by_signal
from trainer.relations import inputs_of
from trainer.statistics import Observed

_RESIDUAL_CLIP = 1e4


class ForecastHead(nn.Module):
    """Quantiles of the change from the last value, in units of the signal's scale, non-crossing.

    median = w . representation + skip . the signal's own features + the regression; all start at zero, so that the
    untrained median is persistence exactly. The other quantiles lie outward of it by softplus increments that start at
    those of a Laplace step whose mean size is one scale at h = 1 and grows as the root of h.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        task, width = layout.forecast, layout.monitor.model.width
        self.median = task.quantiles.index(0.5)
        s, h, q = layout.n_targets, len(task.horizons), len(task.quantiles)
        self.weight_SHQD = nn.Parameter(torch.zeros(s, h, q, width))
        self.bias_SHQ = nn.Parameter(torch.zeros(s, h, q))
        self.skip_SGHQ = nn.Parameter(torch.zeros(s, inputs_of(layout), h, q))
        start_HQ = _inverse_softplus(_laplace_steps([rows_of(horizon) for horizon in task.horizons], task.quantiles))
        self.register_buffer("start_HQ", start_HQ, persistent=False)
        self.start_HQ: Tensor

    def forward(
        self, hidden_ND: Tensor, features_GNS: Tensor, observed: Observed, linear_NSH: Tensor | None = None
    ) -> Tensor:
        """Quantiles, [N, S, H, Q] float64 model scale; NaN for a signal never seen.

        `linear_NSH` is what `Regression` expects, if there is one.
        """
        n, (s, h, q) = hidden_ND.shape[0], self.bias_SHQ.shape  # not len: in a program n stays open
        skip_NSHQ = by_signal(features_GNS[:, :, :s], self.skip_SGHQ.flatten(2)).reshape(n, s, h, q)
        linear_NO = functional.linear(hidden_ND, self.weight_SHQD.flatten(0, 2), self.bias_SHQ.flatten())
        raw_NSHQ = linear_NO.view(n, s, h, q) + skip_NSHQ
        median_NSH = raw_NSHQ[..., self.median] if linear_NSH is None else raw_NSHQ[..., self.median] + linear_NSH
        delta_NSHQ = self._spread_out(median_NSH, raw_NSHQ).to(torch.float64)
        last_NS, scale_NS = observed.last_NS[:, :s], observed.scale_NS[:, :s]
        return torch.addcmul(last_NS[..., None, None], delta_NSHQ, scale_NS[..., None, None])

    def _spread_out(self, median: Tensor, raw_NSHQ: Tensor) -> Tensor:
        step_NSHQ = functional.softplus(raw_NSHQ + self.start_HQ)
        columns, lower, upper = [median], median, median
        for quantile in range(self.median - 1, -1, -1):
            lower = lower - step_NSHQ[..., quantile]
            columns.insert(0, lower)
        for quantile in range(self.median + 1, raw_NSHQ.shape[-1]):
            upper = upper + step_NSHQ[..., quantile]
            columns.append(upper)
        return torch.stack(columns, -1)


class AnomalyHead(nn.Module):
    """A logit from the task's representation, which signals came, and their standardised forecast residuals.

    Untrained it says 0: a probability of one half, even odds, as its loss weighs faulty and sound rows.

    Residuals help it to learn in one pass and hurt it in a long fit, as DECISIONS.md has it: `model.residuals`.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        model, signals = layout.monitor.model, layout.n_targets
        self._residuals = model.residuals
        self.hidden = nn.Linear(model.width + (3 if self._residuals else 1) * signals, model.width)
        self.out = _silent(model.width, 1)

    def forward(self, hidden_ND: Tensor, residual_NS: Tensor) -> Tensor:
        """Logits, [N]. `residual_NS` is NaN where nothing came or nothing was expected."""
        known_NS = ~residual_NS.isnan()
        inputs = [hidden_ND, known_NS.float()]
        if self._residuals:
            squashed_NS = residual_NS.nan_to_num(0.0).clamp(-_RESIDUAL_CLIP, _RESIDUAL_CLIP).float().asinh()
            inputs[1:1] = [squashed_NS, squashed_NS.abs()]
        logit_N: Tensor = self.out(functional.gelu(self.hidden(torch.cat(inputs, -1)))).squeeze(-1)
        return logit_N


def class_heads(layout: Layout) -> nn.ModuleList:
    """Per state and event task a linear head to its logits, [N, D] to [N, C]; untrained: all classes alike."""
    return nn.ModuleList(_silent(layout.monitor.model.width, len(names)) for names in layout.classes.values())


def _silent(width: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(width, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def _laplace_steps(horizons: Sequence[int], quantiles: tuple[float, ...]) -> Tensor:
    """Distance of each quantile from its inner neighbour for a Laplace variable of mean size root h, [H, Q]."""
    place = [-math.copysign(1.0, 0.5 - p) * math.log(2.0 * min(p, 1.0 - p)) for p in quantiles]
    middle = quantiles.index(0.5)
    steps = [
        1.0 if q == middle else abs(place[q] - (0.0 if inner == middle else place[inner]))
        for q, inner in ((q, q + 1 if q < middle else q - 1) for q in range(len(quantiles)))
    ]
    return torch.tensor([[math.sqrt(h) * step for step in steps] for h in horizons])


def _inverse_softplus(x: Tensor) -> Tensor:
    return x + torch.log(-torch.expm1(-x))
