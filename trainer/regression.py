"""The forecast's linear part, in closed form: how everybody's values went on from where they stood.

Gradients find so few weights in thousands of steps; least squares has them after some hundred rows. They are those of
all entities together, so that one that was never seen begins with what is true of the others, and the network learns
what is left: to a patient who stays for two days, his own fast head comes too late.

Recursive least squares with forgetting (Ljung and Soderstrom, 1983, section 2.6), kept as normal equations, which ranks
can add up; rows weigh less the farther they are off (Huber, 1964; reweighed as in Holland and Welsch, 1977), from so
near on that what is found is a median.

N rows, S signals that are forecast, H horizons, I inputs of a signal, G features of it.
"""

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from schemas.layout import Layout
from trainer.products import by_signal
from trainer.statistics import CHANGE_FEATURE, N_FEATURES, N_REVERTING, Observed
from trainer.weighting.ranks import pool_sum

_PLACED = N_FEATURES
"""Where the last value lies among everybody's."""
_N_INPUTS = N_REVERTING + 5
_MEMORY = 20_000.0
"""Values that are remembered of a signal and horizon."""
_NEAR = 0.25
"""Mean absolute errors up to which a row weighs in full."""
_LEAST_ERROR = 1e-6
_FARTHEST = 20.0
"""Scales that a change counts as at most."""
_RIDGE = 1.0


class Regression(nn.Module):
    """Weights of each signal and horizon, and the equations that they solve.

    Part of the weights and moved by the learner alone, as `Population` is. Fresh, all is 0: persistence.
    """

    square_SHII: Tensor
    cross_SHI: Tensor
    missed_SH: Tensor
    count_SH: Tensor
    weight_SIH: Tensor
    _ridge_II: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        s, h, i = layout.n_targets, len(layout.forecast.horizons), _N_INPUTS
        for name, shape in {"square_SHII": (s, h, i, i), "cross_SHI": (s, h, i)}.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        for name in ("missed_SH", "count_SH"):
            self.register_buffer(name, torch.zeros(s, h, dtype=torch.float64))
        self.register_buffer("weight_SIH", torch.zeros(s, i, h))
        self.register_buffer("_ridge_II", _RIDGE * torch.eye(i, dtype=torch.float64), persistent=False)

    def forward(self, features_GNS: Tensor, observed: Observed) -> Tensor:
        """The change from the last value that is expected, in units of the signal's scale, [N, S, H].

        Args:
            features_GNS: what the network reads of each signal.
            observed: the same rows.
        """
        return by_signal(_inputs(features_GNS, observed, len(self.weight_SIH)), self.weight_SIH)

    @torch.no_grad()
    def learn(
        self, features_GNS: Tensor, observed: Observed, future_NSH: Tensor, group: ProcessGroup | None = None
    ) -> None:
        """Take rows in, those of all ranks.

        Args:
            features_GNS: what the network reads of each signal.
            observed: the same rows.
            future_NSH: what came at each horizon, model scale; NaN = missing, or the row must not teach.
            group: ranks that learn together.
        """
        s = len(self.weight_SIH)
        x_INS = _inputs(features_GNS, observed, s)
        last_NS1, scale_NS1 = observed.last_NS[:, :s, None], observed.scale_NS[:, :s, None]
        came_NSH = ((future_NSH - last_NS1) / scale_NS1).clamp(-_FARTHEST, _FARTHEST)
        told_NSH = ~came_NSH.isnan()
        came_NSH = came_NSH.nan_to_num(0.0)
        missed_NSH = (came_NSH - by_signal(x_INS, self.weight_SIH)).abs() * told_NSH
        count_SH, missed_SH = pool_sum(torch.stack([told_NSH.sum(0).double(), missed_NSH.sum(0)]), group)
        keep_SH = torch.exp(count_SH * (-1.0 / _MEMORY))
        self.count_SH.mul_(keep_SH).add_(count_SH)
        self.missed_SH.mul_(keep_SH).add_(missed_SH)
        near_SH = (_NEAR * self.missed_SH / self.count_SH.clamp(min=1.0)).clamp(min=_LEAST_ERROR)
        weight_SNH = (told_NSH / (missed_NSH / near_SH).clamp(min=1.0)).transpose(0, 1)
        x_SNI = x_INS.permute(2, 1, 0).double()
        weighed_SNHI = weight_SNH[..., None] * x_SNI[:, :, None]
        square_SHII = torch.bmm(weighed_SNHI.flatten(2).transpose(1, 2), x_SNI).view_as(self.square_SHII)
        cross_SHI = torch.einsum("snhi,nsh->shi", weighed_SNHI, came_NSH)
        self.square_SHII.mul_(keep_SH[..., None, None]).add_(pool_sum(square_SHII, group))
        self.cross_SHI.mul_(keep_SH[..., None]).add_(pool_sum(cross_SHI, group))
        self.weight_SIH.copy_(torch.linalg.solve(self.square_SHII + self._ridge_II, self.cross_SHI).transpose(1, 2))


def _inputs(features_GNS: Tensor, observed: Observed, s: int) -> Tensor:
    """[I, N, S]: a constant, how the averages lie to the last value, the last change, the place among everybody.

    Of the mean and the place also what a young entity makes of them: its own mean is not yet worth much.
    """
    read_GNS, count_NS = features_GNS[:, :, :s], observed.count_NS[:, :s].float()
    known_1NS, young_NS = (count_NS > 0).float()[None], count_NS.clamp(min=1.0).reciprocal()
    mean_1NS, place_1NS = read_GNS[:1], read_GNS[_PLACED : _PLACED + 1]
    change_1NS = read_GNS[CHANGE_FEATURE : CHANGE_FEATURE + 1]
    young = [mean_1NS * young_NS, place_1NS * young_NS]
    return torch.cat([known_1NS, read_GNS[:N_REVERTING], change_1NS, place_1NS, *young])
