"""Causal running statistics per entity and signal: state, in float64, made by one function for serving and training.

Every recurrence is affine in its own past, x_t = x_(t-1) * keep_t + add_t, with keep and add computed flat over all
rows; only that one multiply-add runs wave by wave. A row that lacks a signal leaves the signal's statistics as they
were. Means and deviations follow Welford until `_MEMORY` values, then forget exponentially.

Nothing is divided by a number: torch multiplies by its reciprocal in vectors and divides in their tails, so that
results would depend on N. Planes of one statistic, [N, S], are contiguous: stacking them last was measured
3-8 times slower.

N rows, E entities, S signals, F statistics, G features, X columns in which rules remember more, Q numbers they say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor, nn

from schemas.layout import Layout
from trainer.rows import Rows, to_model
from trainer.rule_memory import Before, Memory
from trainer.scans import affine, maximum

_MEMORY = 2000.0
"""Values a mean or deviation remembers."""
_CHANGE_MEMORY = 256.0
"""Changes and gaps the typical one remembers: shorter, so that a new volatility regime becomes the unit soon."""
_PRIOR_WEIGHT = 2.0
"""Changes that the prior scale counts as. Shrinkage is geometric: a prior 100 times off is 20 % off after 50."""
NARROW = 1e6
"""A declared range narrower than this (in model scale) says something about the scale."""
_RANGE_SHARE, _VALUE_SHARE, _SPREAD_SHARE = 0.02, 0.02, 2.5
_DECLARED_FLOOR, _UNDECLARED_FLOOR = 1e-4, 1e-9
_PAUSE_CAP = 8.0
_SHORTEST_GAP_SECONDS = 1e-3
N_FEATURES = 11
N_REVERTING, CHANGE_FEATURE = 3, 5
"""The first features: how far the mean and the averages over 16 and 4 values lie from the last; and the last change."""
COUNT_FEATURE, COUNT_SHARE = 8, 0.2
"""The feature that says how often the signal was seen: log1p, times this."""


class Statistic(IntEnum):
    """Planes of the state.

    NEG_MIN is the negated minimum, so that one maximum serves both ends. CHANGE is the mean |change| where the value
    did change, MOVES how often it did: a score that stands still for a day has not become a thousand times finer. STILL
    is how many values in a row repeated the one before.
    """

    LAST = 0
    SEEN = 1
    COUNT = 2
    NEG_MIN = 3
    MAX = 4
    FIRST = 5
    MEAN = 6
    FAST = 7
    SLOW = 8
    GAP = 9
    MOVES = 10
    STILL = 11
    CHANGE = 12
    VARIANCE = 13


# Planes that one pass over the waves can advance together; each pass needs what the ones before it found.
_LATEST = slice(Statistic.LAST, Statistic.COUNT + 1)
_ENDS = slice(Statistic.NEG_MIN, Statistic.MAX + 1)
_AVERAGES = slice(Statistic.FIRST, Statistic.STILL + 1)
_SPREADS = slice(Statistic.CHANGE, Statistic.VARIANCE + 1)


@dataclass(frozen=True, slots=True)
class Observed:
    """What the statistics say at each row, the row itself included (but `before_NS` and `pause_NS`). Model scale.

    Attributes:
        present_NS: 1.0 where the row carries the signal, else 0.0; float32.
        last_NS: last value; NaN never seen.
        before_NS: last value before this row; NaN none.
        age_NS: seconds since last seen; inf never.
        scale_NS: typical |change| where the value does change, shrunk, > 0.
        level_NS: running mean (0 before the first value).
        fast_NS, slow_NS: averages over about 4 and 16 values (0 before the first).
        gap_NS: seconds between the signal's values, typically, > 0.
        low_NS, high_NS: lowest and highest value (infinite before the first).
        spread_NS: running standard deviation, shrunk, > 0.
        count_NS: values seen.
        still_NS: values in a row, up to now, that repeated the one before.
        since_NS: seconds since the value before, of no meaning where there was none.
        pause_NS: float32 log1p of the time since the previous value, in typical gaps of the signal; 0 never.
        features_GNS: float32, bounded; 0 for a signal never seen.
        statistics_EFS: the state after each entity's last row, signals first, then the X columns.
        remembered_NQ: what `trainer.rule_memory` says for the rules that remember.
    """

    present_NS: Tensor
    last_NS: Tensor
    before_NS: Tensor
    age_NS: Tensor
    scale_NS: Tensor
    level_NS: Tensor
    fast_NS: Tensor
    slow_NS: Tensor
    gap_NS: Tensor
    low_NS: Tensor
    high_NS: Tensor
    spread_NS: Tensor
    count_NS: Tensor
    still_NS: Tensor
    since_NS: Tensor
    pause_NS: Tensor
    features_GNS: Tensor
    statistics_EFS: Tensor
    remembered_NQ: Tensor


class Statistics(nn.Module):
    """Running statistics for one layout. Nothing in it is learned."""

    _declared_S: Tensor
    _per_magnitude_S: Tensor
    _floor_S: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        ranges = np.array([signal.range for signal in layout.signals], dtype=np.float64)
        bounds = np.stack([to_model(ranges[:, 0], layout), to_model(ranges[:, 1], layout)])
        width_S = bounds[1] - bounds[0]
        declared_S = width_S < NARROW
        self._n_signals = len(layout.signals)
        self._memory = Memory(layout, len(Statistic))
        constants = {
            "_declared_S": np.where(declared_S, _RANGE_SHARE * width_S, 0.0),
            "_per_magnitude_S": np.where(declared_S, 0.0, _VALUE_SHARE),
            "_floor_S": np.where(declared_S, _DECLARED_FLOOR, _UNDECLARED_FLOOR).astype(np.float32),
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.from_numpy(value), persistent=False)

    def initial(self, e: int) -> Tensor:
        """State of entities never seen, [E, F, S + X] float64."""
        state_EFS = self._declared_S.new_zeros(e, len(Statistic), self._n_signals)
        state_EFS[:, _ENDS] = -torch.inf
        return torch.cat([state_EFS, self._memory.initial(e, state_EFS.device)], -1)

    @torch.no_grad()
    def observe(self, state_EFS: Tensor, rows: Rows) -> Observed:
        """Advance the statistics over all rows."""
        state_EFS, memory_EFX = state_EFS.split([self._n_signals, self._memory.columns], -1)
        state_FES = state_EFS.transpose(0, 1).contiguous()
        absent_NS = rows.value_NS.isnan()
        present_NS = absent_NS.logical_not().to(torch.float64)
        after_FNS = rows.value_NS.new_empty(len(Statistic), *rows.value_NS.shape)
        before_3NS = _scan(rows, state_FES, after_FNS, absent_NS, present_NS)
        before = Before(~absent_NS, before_3NS[Statistic.LAST], before_3NS[Statistic.COUNT])
        remembered_NQ, memory_EFX = self._memory.observe(rows, before, memory_EFX)
        final_EFS = rows.latest(after_FNS, 1).transpose(0, 1)
        if self._memory.columns:
            final_EFS = torch.cat([final_EFS, memory_EFX], -1)
        return self._describe(rows.time_N[:, None], before_3NS, after_FNS, present_NS.float(), final_EFS, remembered_NQ)

    def _describe(
        self,
        time_N1: Tensor,
        before_3NS: Tensor,
        after_FNS: Tensor,
        present_NS: Tensor,
        final_EFS: Tensor,
        remembered_NQ: Tensor,
    ) -> Observed:
        after, (last_before_NS, seen_before_NS, count_before_NS) = after_FNS.unbind(), before_3NS.unbind()
        last_NS, count_NS = after[Statistic.LAST], after[Statistic.COUNT]
        known_NS, known_before_NS = count_NS > 0, count_before_NS > 0
        scale_NS, spread_NS = self._scales(after_FNS, after)
        since_NS = (time_N1 - seen_before_NS).clamp(min=0.0)
        gap_NS = torch.where(count_NS > 1, after[Statistic.GAP], since_NS).clamp(min=_SHORTEST_GAP_SECONDS)
        pause_NS = (since_NS / gap_NS).float().log1p().clamp(max=_PAUSE_CAP) * known_before_NS
        change_NS = ((last_NS - last_before_NS) / scale_NS).float().clamp(-10.0, 10.0) * known_before_NS
        features_GNS = self._features(after_FNS, after, change_NS, scale_NS, spread_NS, present_NS, pause_NS)
        age_NS = (time_N1 - after[Statistic.SEEN]).clamp(min=0.0)
        return Observed(
            present_NS=present_NS,
            last_NS=torch.where(known_NS, last_NS, torch.nan),
            before_NS=torch.where(known_before_NS, last_before_NS, torch.nan),
            age_NS=torch.where(known_NS, age_NS, torch.inf),
            scale_NS=scale_NS,
            level_NS=after[Statistic.MEAN],
            fast_NS=after[Statistic.FAST],
            slow_NS=after[Statistic.SLOW],
            gap_NS=gap_NS,
            low_NS=-after[Statistic.NEG_MIN],
            high_NS=after[Statistic.MAX],
            spread_NS=spread_NS,
            count_NS=count_NS,
            still_NS=after[Statistic.STILL],
            since_NS=since_NS,
            pause_NS=pause_NS,
            features_GNS=features_GNS.mul_(known_NS),
            statistics_EFS=final_EFS,
            remembered_NQ=remembered_NQ,
        )

    def _scales(self, after_FNS: Tensor, after: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Typical |change| and deviation, [N, S] each.

        Both are shrunk geometrically towards a prior: a share of the declared range, else of the magnitude so far.
        """
        magnitude_NS = after_FNS[_ENDS].abs().amax(0)
        magnitude_NS = torch.where((magnitude_NS > 0) & (magnitude_NS < torch.inf), magnitude_NS, 1.0)
        prior_NS = torch.addcmul(self._declared_S, self._per_magnitude_S, magnitude_NS)
        moves_NS = after[Statistic.MOVES]
        weight_NS = (moves_NS / (moves_NS + _PRIOR_WEIGHT)).float()
        deviation_NS = after[Statistic.VARIANCE].sqrt() * (1.0 / _SPREAD_SHARE)
        ratio_2NS = (torch.stack([after[Statistic.CHANGE], deviation_NS]) / prior_NS).float()
        shrunk_2NS = torch.exp(torch.maximum(ratio_2NS, self._floor_S).log() * weight_NS)
        scale_NS, spread_NS = (shrunk_2NS * prior_NS).unbind(0)
        return scale_NS, torch.maximum(spread_NS * _SPREAD_SHARE, scale_NS * 0.5)

    def _features(
        self,
        after_FNS: Tensor,
        after: Sequence[Tensor],
        change_NS: Tensor,
        scale_NS: Tensor,
        spread_NS: Tensor,
        present_NS: Tensor,
        pause_NS: Tensor,
    ) -> Tensor:
        """Bounded float32 features, [G, N, S]; the first four are what a forecast's skip reverts along."""
        last_NS = after[Statistic.LAST]
        below_4NS = after_FNS[Statistic.FIRST : Statistic.SLOW + 1] - last_NS
        revert_3NS = (below_4NS[1:] / scale_NS).float().clamp(-10.0, 10.0)
        drift_2NS = (below_4NS[:2] / spread_NS).float().clamp(-6.0, 6.0)
        low_NS, high_NS = -after[Statistic.NEG_MIN], after[Statistic.MAX]
        within_NS = ((last_NS - low_NS) / (high_NS - low_NS).clamp(min=1e-300)).float().clamp(0.0, 1.0)
        rough_NS = (spread_NS / scale_NS).float().log().clamp(-4.0, 4.0)
        count_NS = after[Statistic.COUNT].float().log1p().mul(COUNT_SHARE).clamp(max=2.0)
        rest = [change_NS, within_NS, rough_NS, count_NS, present_NS, pause_NS]
        return torch.cat([revert_3NS, drift_2NS, torch.stack(rest)])


def _scan(rows: Rows, state_FES: Tensor, after_FNS: Tensor, absent_NS: Tensor, present_NS: Tensor) -> Tensor:
    """Fill `after_FNS`; return LAST, SEEN and COUNT before each row, [3, N, S]."""
    value_NS = rows.value_NS.nan_to_num(0.0)
    time_NS, always_NS = rows.time_N[:, None].expand_as(value_NS), torch.ones_like(value_NS)
    keep_NS = 1.0 - present_NS
    add_3NS = torch.stack([value_NS, time_NS, always_NS]) * present_NS
    keep_3NS = torch.stack([keep_NS, keep_NS, always_NS])
    affine(rows.waves, state_FES[_LATEST], keep_3NS, add_3NS, after_FNS[_LATEST])
    missing_NS = torch.where(absent_NS, -torch.inf, 0.0)
    maximum(rows.waves, state_FES[_ENDS], torch.stack([-value_NS, value_NS]) + missing_NS, after_FNS[_ENDS])
    before_3NS = rows.before(after_FNS[_LATEST], state_FES[_LATEST], 1)
    last_NS, seen_NS, count_NS = before_3NS.unbind()
    known_NS = count_NS > 0
    change_NS, gap_NS = (value_NS - last_NS).abs(), (time_NS - seen_NS).clamp(min=0.0)
    moved_NS = ((change_NS > 0) & known_NS) * present_NS
    still_NS = present_NS * known_NS - moved_NS
    rate_5NS = _rates(count_NS).mul_(present_NS)
    add_5NS = torch.stack([value_NS, value_NS, value_NS, value_NS, gap_NS]).mul_(rate_5NS)
    keep_7NS = torch.cat([1.0 - rate_5NS, torch.stack([always_NS, 1.0 - moved_NS])])
    add_7NS = torch.cat([add_5NS, torch.stack([moved_NS, still_NS])])
    affine(rows.waves, state_FES[_AVERAGES], keep_7NS, add_7NS, after_FNS[_AVERAGES])
    mean_NS = rows.before(after_FNS[Statistic.MEAN], state_FES[Statistic.MEAN])
    change_rate_NS = after_FNS[Statistic.MOVES].clamp(1.0, _CHANGE_MEMORY).reciprocal() * moved_NS
    rate_2NS = torch.stack([change_rate_NS, rate_5NS[Statistic.MEAN - Statistic.FIRST]])
    keep_2NS = 1.0 - rate_2NS
    square_NS = keep_2NS[1] * (value_NS - mean_NS).square()
    add_2NS = torch.stack([change_NS, square_NS]).mul_(rate_2NS)
    affine(rows.waves, state_FES[_SPREADS], keep_2NS, add_2NS, after_FNS[_SPREADS])
    return before_3NS


def _rates(count_before_NS: Tensor) -> Tensor:
    """Learning rates of FIRST, MEAN, FAST, SLOW and GAP, [5, N, S], for a value that is seen."""
    each = (count_before_NS + 1.0).reciprocal()
    first = (count_before_NS == 0).to(each.dtype)
    gap = count_before_NS.clamp(1.0, _CHANGE_MEMORY).reciprocal() * (1.0 - first)
    mean, fast, slow = (each.clamp(min=least) for least in (1.0 / _MEMORY, 1.0 / 4.0, 1.0 / 16.0))
    return torch.stack([first, mean, fast, slow, gap])
