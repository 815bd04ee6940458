"""Where an entity's values lie among everybody's: the one thing about a signal that its own past cannot say.

A patient's lactate of 4 means the same on the first row as on the hundredth. Within the declared range it lies 8 % of
the way up; among all patients it is two deviations high. Placing values so raised the AUROC of in-hospital death after
48 hours from 0.73 to 0.80 (ICU 2012, streamed once, later half of the stays; means and ends are 0.01 of it).

N rows, S signals, P placed statistics.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from schemas.layout import Layout
from schemas.observation import Float64
from trainer.rows import to_model, to_raw
from trainer.statistics import N_FEATURES, NARROW, Observed
from trainer.weighting.ranks import gather_rows

N_PLACED = 4
"""Last value, running mean, lowest and highest."""
N_INPUTS = N_FEATURES + N_PLACED
"""What the network reads of each signal where no relation is configured."""
LEAST = 100.0
"""Values before they count for more than what was declared."""
_MEMORY = 100_000.0
_OUTLIER = 8.0
"""Deviations that one value counts as at most: an absurd one must not squeeze all others together."""
_YOUNG_OUTLIER = 100.0
"""The same while no deviation is known, in median distances from the median of the values that come together."""
_ALIKE = 1e-24
"""Variance, as a share of the squared mean, up to which all values were the same but for rounding."""
_FARTHEST = 4.0
_LEAST_VARIANCE = 1e-18


class Population(nn.Module):
    """Running mean and deviation of each signal over all entities, model scale.

    Part of the weights and moved by the learner alone: what serves is a version like any other, so that a row's output
    does not depend on which entities one shard happens to own.
    """

    count_S: Tensor
    mean_S: Tensor
    variance_S: Tensor
    _middle_S: Tensor
    _per_half_S: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._layout = layout
        ranges = np.array([signal.range for signal in layout.signals], dtype=np.float64)
        low_S, high_S = to_model(ranges[:, 0], layout), to_model(ranges[:, 1], layout)
        declared_S = high_S - low_S < NARROW
        middle_S = np.where(declared_S, (low_S + high_S) / 2.0, 0.0)
        per_half_S = np.where(declared_S, 2.0 / np.where(declared_S, high_S - low_S, 1.0), 0.0)
        for name, value in {"_middle_S": middle_S, "_per_half_S": per_half_S}.items():
            self.register_buffer(name, torch.from_numpy(value), persistent=False)
        for name in ("count_S", "mean_S", "variance_S"):
            self.register_buffer(name, torch.zeros(len(layout.signals), dtype=torch.float64))

    def forward(self, observed: Observed) -> Tensor:
        """Placed statistics in deviations, squashed, [P, N, S] float32; 0 for a signal never seen."""
        known_S = self.count_S >= LEAST
        center_S = torch.where(known_S, self.mean_S, self._middle_S)
        per_spread_S = torch.where(known_S, self.variance_S.clamp(min=_LEAST_VARIANCE).rsqrt(), self._per_half_S)
        planes = torch.stack([observed.last_NS, observed.level_NS, observed.low_NS, observed.high_NS])
        placed_PNS = _squashed((planes - center_S) * per_spread_S)
        return torch.where(observed.count_NS > 0, placed_PNS, 0.0)

    def largest(self) -> Float64:
        """Largest magnitude that counts of each signal, raw units, [S]; infinite where no spread is known."""
        reach_S = _reach(self.count_S, self.mean_S, self.variance_S)
        with np.errstate(over="ignore"):
            found: Float64 = to_raw((self.mean_S.abs() + reach_S)[None].cpu().numpy(), self._layout)[0]
        return found

    @torch.no_grad()
    def learn(self, values: Float64, group: ProcessGroup | None = None) -> None:
        """Move towards values in raw units, [N, S], NaN = missing: those of all ranks, where there are several."""
        value_NS = torch.from_numpy(to_model(values, self._layout)).to(self.mean_S.device)
        value_NS = gather_rows(value_NS, group)
        move(self.count_S, self.mean_S, self.variance_S, value_NS)


def deviations(value_PNS: Tensor, center_NS: Tensor, variance_NS: Tensor) -> Tensor:
    """Values in deviations from a centre, squashed, float32."""
    return _squashed((value_PNS - center_NS) * variance_NS.clamp(min=_LEAST_VARIANCE).rsqrt())


def move(count_S: Tensor, mean_S: Tensor, variance_S: Tensor, value_NS: Tensor) -> None:
    """Move moments, in place, towards values; NaN = missing."""
    if not len(value_NS):
        return
    seen_NS = ~value_NS.isnan()
    center_S, reach_S = _outliers(count_S, mean_S, variance_S, value_NS)
    value_NS = torch.clamp(value_NS.nan_to_num(0.0), center_S - reach_S, center_S + reach_S)
    fresh_count_S = seen_NS.sum(0)
    fresh_S = (value_NS * seen_NS).sum(0) / fresh_count_S.clamp(min=1)
    square_S = ((value_NS - fresh_S).square() * seen_NS).sum(0) / fresh_count_S.clamp(min=1)
    share_S = fresh_count_S / (count_S + fresh_count_S).clamp(min=1.0)
    away_S = fresh_S - mean_S
    spread_S = square_S + away_S.square() * (1.0 - share_S)
    variance_S.add_(share_S * (spread_S - variance_S))
    mean_S.add_(share_S * away_S)
    count_S.add_(fresh_count_S).clamp_(max=_MEMORY)


def _reach(count_S: Tensor, mean_S: Tensor, variance_S: Tensor) -> Tensor:
    """How far from the mean a value counts at most; infinite where too few came, or nothing but one value."""
    known_S = (count_S >= LEAST) & (variance_S > _ALIKE * mean_S.square())
    return torch.where(known_S, _OUTLIER * variance_S.sqrt(), torch.inf)


def _outliers(count_S: Tensor, mean_S: Tensor, variance_S: Tensor, value_NS: Tensor) -> tuple[Tensor, Tensor]:
    """Around what and how far values count: by what is known, else by what came together where it differs."""
    reach_S = _reach(count_S, mean_S, variance_S)
    median_S = value_NS.nanmedian(0).values
    away_NS = (value_NS - median_S).abs()
    typical_S = torch.where(away_NS > 0, away_NS, torch.nan).nanmedian(0).values
    young_S = reach_S.isinf() & ~typical_S.isnan()
    return torch.where(young_S, median_S, mean_S), torch.where(young_S, _YOUNG_OUTLIER * typical_S, reach_S)


def _squashed(deviation: Tensor) -> Tensor:
    return deviation.float().asinh().clamp(-_FARTHEST, _FARTHEST)
