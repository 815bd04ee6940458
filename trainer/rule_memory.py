"""What rules remember of an entity beyond its statistics: since when, how wild of late, what was so long ago.

Numbers of fixed count per rule, whatever the feed's pace; a monitor without such rules keeps none. They travel as
further columns of the statistics' state, so that whatever keeps or replays that keeps them too.

N rows, E entities, S signals, F statistics, W numbers that one rule keeps, M that all keep, X columns that hold them,
P numbers that one rule says of a row, Q that all say, K knots.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from schemas.layout import Layout
from schemas.rule import Rule, RuleKind, seconds
from trainer.rows import Rows, by_wave
from trainer.scans import affine, maximum

_STEPS = 8
"""Knots are so many in `per` that what was then is known to an eighth of it."""
_KNOTS = 2 * _STEPS + 1
"""Any three in a row span a step at least: so many always reach `per` back."""
_RECENT, _USUAL = 0.06, 0.001
"""Weight of the newest squared change: the one of daily data, and of about a thousand changes."""


@dataclass(frozen=True, slots=True)
class Before:
    """What stood before each row, the rows themselves aside.

    Attributes:
        present_NS: does the row carry the signal? bool.
        last_NS: last value, model scale, of no meaning where there was none.
        count_NS: values seen.
    """

    present_NS: Tensor
    last_NS: Tensor
    count_NS: Tensor


class Remembering(Protocol):
    """What one rule remembers.

    Attributes:
        says: P.
        initial: of an entity never seen, W numbers.
    """

    says: ClassVar[int]
    initial: ClassVar[tuple[float, ...]]

    def observe(self, rows: Rows, before: Before, kept_EW: Tensor) -> tuple[Tensor, Tensor]:
        """What is said at each row, the row included, [N, P], and what is kept after it, [N, W]."""
        ...


class Life:
    """Seconds since the entity's first row with any value."""

    says: ClassVar[int] = 1
    initial: ClassVar[tuple[float, ...]] = (-torch.inf,)

    def __init__(self, rule: Rule, layout: Layout) -> None:
        pass

    def observe(self, rows: Rows, before: Before, kept_EW: Tensor) -> tuple[Tensor, Tensor]:
        """0 before the first."""
        any_N1 = before.present_NS.any(1, keepdim=True)
        after_NW = _latest(rows, kept_EW, torch.where(any_N1, -rows.time_N[:, None], -torch.inf))
        return (rows.time_N[:, None] + after_NW).clamp(min=0.0), after_NW


class Still:
    """Seconds since any of the rule's signals brought another value than its last."""

    says: ClassVar[int] = 1
    initial: ClassVar[tuple[float, ...]] = (-torch.inf,)

    def __init__(self, rule: Rule, layout: Layout) -> None:
        self._columns = [layout.index[name] for name in rule.signals]

    def observe(self, rows: Rows, before: Before, kept_EW: Tensor) -> tuple[Tensor, Tensor]:
        """Infinite where none was seen yet."""
        other_NS = (rows.value_NS != before.last_NS) | (before.count_NS == 0)
        moved_N1 = (other_NS & before.present_NS)[:, self._columns].any(1, keepdim=True)
        after_NW = _latest(rows, kept_EW, torch.where(moved_N1, rows.time_N[:, None], -torch.inf))
        return rows.time_N[:, None] - after_NW, after_NW


class Volatility:
    """Recent volatility over the usual one: roots of exponentially weighted mean squared changes, model scale.

    RiskMetrics Technical Document (J.P. Morgan/Reuters, 1996), section 5.2, with 0.94 as for daily data. Both start as
    plain means, and so as equal.
    """

    says: ClassVar[int] = 1
    initial: ClassVar[tuple[float, ...]] = (0.0, 0.0)

    def __init__(self, rule: Rule, layout: Layout) -> None:
        self._column = layout.index[rule.signals[0]]

    def observe(self, rows: Rows, before: Before, kept_EW: Tensor) -> tuple[Tensor, Tensor]:
        """NaN where nothing ever changed."""
        count_N, value_N = before.count_NS[:, self._column], rows.value_NS[:, self._column]
        told_N = before.present_NS[:, self._column] & (count_N > 0)
        change_N = torch.where(told_N, value_N - before.last_NS[:, self._column], 0.0)
        plain_N = count_N.clamp(min=1.0).reciprocal()
        rate_2N = torch.stack([plain_N.clamp(min=least) for least in (_RECENT, _USUAL)]) * told_N
        after_2N1 = torch.empty_like(rate_2N)[..., None]
        add_2N = change_N.square() * rate_2N
        affine(rows.waves, kept_EW.T[..., None], (1.0 - rate_2N)[..., None], add_2N[..., None], after_2N1)
        recent_N, usual_N = after_2N1[..., 0]
        said_N = torch.where(usual_N > 0, (recent_N / usual_N).sqrt(), torch.nan)
        return said_N[:, None], after_2N1[..., 0].T


class Ago:
    """What a signal was `per` ago, model scale, and how many seconds ago that was.

    Knots are some of its values, the newest last: a new one is added where it lies a step or more after the last but
    one, else it takes the last one's place. Between them the signal is taken to have moved evenly; before the first it
    was never seen, which then is what stands for "ago".
    """

    says: ClassVar[int] = 2
    initial: ClassVar[tuple[float, ...]] = (-torch.inf,) * _KNOTS + (torch.nan,) * _KNOTS

    def __init__(self, rule: Rule, layout: Layout) -> None:
        self._column = layout.index[rule.signals[0]]
        self._per = seconds(rule.per)

    def observe(self, rows: Rows, before: Before, kept_EW: Tensor) -> tuple[Tensor, Tensor]:
        """NaN and infinite where it was never seen."""
        after_2KN = self._knots(rows, before.present_NS[:, self._column], kept_EW)
        time_KN, value_KN = after_2KN
        edge_N = rows.time_N - self._per
        past_N, oldest_N = (time_KN > edge_N).sum(0), time_KN.isfinite().sum(0) - 1
        older_1N = torch.minimum(past_N, oldest_N).clamp(min=0)[None]
        newer_1N = torch.minimum(past_N - 1, oldest_N).clamp(min=0)[None]
        since_N, until_N = (time_KN.gather(0, each)[0] for each in (older_1N, newer_1N))
        from_N, to_N = (value_KN.gather(0, each)[0] for each in (older_1N, newer_1N))
        share_N = torch.where(until_N > since_N, (edge_N - since_N) / (until_N - since_N), 0.0).clamp(0.0, 1.0)
        ago_N = rows.time_N - torch.maximum(since_N, edge_N)
        said_N2 = torch.stack([from_N + share_N * (to_N - from_N), torch.where(oldest_N < 0, torch.inf, ago_N)], 1)
        return said_N2, after_2KN.flatten(0, 1).T

    def _knots(self, rows: Rows, present_N: Tensor, kept_EW: Tensor) -> Tensor:
        """Times and values after each row, the newest first, [2, K, N]."""
        knot_2KE = kept_EW.T.reshape(2, _KNOTS, -1)
        new_2N = torch.stack([rows.time_N, rows.value_NS[:, self._column]])
        step = self._per * (1.0 / _STEPS)
        waves = []
        for new, present in by_wave(rows.waves, (new_2N, present_N[None]), 1):
            knot_2Kn = knot_2KE[..., : new.shape[1]]
            adds_n = new[0] - knot_2Kn[0, 1] >= step
            older = torch.where(adds_n, knot_2Kn[:, :-1], knot_2Kn[:, 1:])
            knot_2KE = torch.where(present, torch.cat([new[:, None], older], 1), knot_2Kn)
            waves.append(knot_2KE)
        return torch.cat(waves, -1)


class Memory:
    """What all rules of a layout remember, packed into further columns of the statistics' state.

    Args:
        layout: whose rules.
        planes: F.
    """

    def __init__(self, layout: Layout, planes: int) -> None:
        self._parts = [make(rule, layout) for rule, make in _remembered(layout)]
        self._planes = planes
        kept = [number for part in self._parts for number in part.initial]
        self.columns = -(-len(kept) // planes)
        padding = [0.0] * (planes * self.columns - len(kept))
        self._initial = torch.tensor(kept + padding, dtype=torch.float64).view(planes, self.columns)

    def initial(self, e: int, device: torch.device) -> Tensor:
        """Of entities never seen, [E, F, X] float64."""
        return self._initial.to(device).repeat(e, 1, 1)

    def observe(self, rows: Rows, before: Before, state_EFX: Tensor) -> tuple[Tensor, Tensor]:
        """What is said at each row, [N, Q], and the state after each entity's last one, [E, F, X]."""
        if not self._parts:
            return rows.value_NS[:, :0], state_EFX
        kept_EM = state_EFX.flatten(1)
        widths = [len(part.initial) for part in self._parts]
        *kept, padding_EM = kept_EM.split([*widths, kept_EM.shape[1] - sum(widths)], 1)
        each = [part.observe(rows, before, kept_EW) for part, kept_EW in zip(self._parts, kept, strict=True)]
        after_EM = rows.latest(torch.cat([after_NW for _, after_NW in each], 1))
        after_EFX = torch.cat([after_EM, padding_EM], 1).view_as(state_EFX)
        return torch.cat([said_NP for said_NP, _ in each], 1), after_EFX


def places(layout: Layout) -> dict[str, int]:
    """Rule -> the first of the Q columns that are its own."""
    found, place = {}, 0
    for rule, make in _remembered(layout):
        found[rule.name] = place
        place += make.says
    return found


def said(layout: Layout) -> int:
    """Q."""
    return sum(make.says for _, make in _remembered(layout))


def _remembered(layout: Layout) -> "list[tuple[Rule, _Part]]":
    """Of a frozen rule that counts rows the statistics know enough."""
    rules = [rule for rule in layout.monitor.rules if rule.kind in _KINDS and rule.rows is None]
    return [(rule, _KINDS[rule.kind]) for rule in rules]


def _latest(rows: Rows, kept_E1: Tensor, new_N1: Tensor) -> Tensor:
    """The largest so far, [N, 1]."""
    after_1N1 = torch.empty_like(new_N1)[None]
    maximum(rows.waves, kept_E1[None], new_N1[None], after_1N1)
    return after_1N1[0]


_Part = type[Life] | type[Still] | type[Volatility] | type[Ago]
_KINDS: Mapping[RuleKind, _Part] = {
    RuleKind.MISSING: Life,
    RuleKind.FROZEN: Still,
    RuleKind.VOLATILITY: Volatility,
    RuleKind.RATE: Ago,
}
