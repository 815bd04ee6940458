"""Hard rules: NEWS2, bands, moves, falls, averages and what is frozen, vectorised over rows.

They run whatever the network does.

N rows, S signals, R rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np

from schemas.alert import Taken
from schemas.layout import Layout
from schemas.observation import Float64
from schemas.rule import Rule, RuleKind
from trainer.rows import Rows as PackedRows
from trainer.rows import to_raw
from trainer.statistics import Observed

_STALE_SECONDS = 24 * 3600.0
"""A vital sign last seen longer ago counts as missing. NEWS2 asks for a full set at least every 12 hours at score 0."""
_ROOM_AIR = 0.21


@dataclass(frozen=True, slots=True)
class Known:
    """What rules may look at.

    Attributes:
        value: raw units, NaN where the row lacks the signal, [N, S].
        last: last known value, this row included, raw units, NaN never, [N, S].
        age: seconds since `last` was seen, inf never, [N, S].
        change: from the value before, model scale, NaN none, [N, S].
        scale: the entity's typical |change|, model scale, > 0, [N, S].
        still: values in a row, up to now, that repeated the one before, [N, S].
        average: mean of about the last 4 values, model scale, [N, S].
    """

    value: Float64
    last: Float64
    age: Float64
    change: Float64
    scale: Float64
    still: Float64
    average: Float64


def known_of(rows: PackedRows, observed: Observed, layout: Layout) -> Known:
    """What rules may look at of packed rows, N of them."""
    value_NS, last_NS, before_NS = (each.cpu() for each in (rows.value_NS, observed.last_NS, observed.before_NS))
    return Known(
        value=to_raw(value_NS.numpy(), layout),
        last=to_raw(last_NS.numpy(), layout),
        age=observed.age_NS.cpu().numpy(),
        change=(value_NS - before_NS).numpy(),
        scale=observed.scale_NS.cpu().numpy(),
        still=observed.still_NS.cpu().numpy(),
        average=observed.fast_NS.cpu().numpy(),
    )


class Rules:
    """All rules of a monitor."""

    def __init__(self, layout: Layout) -> None:
        self._scorers = [_SCORERS[rule.kind](rule, layout) for rule in layout.monitor.rules]

    def score(self, known: Known) -> Float64:
        """Each rule's score, [N, R]; NaN where the row carries none of the rule's signals."""
        if not self._scorers:
            return np.empty((len(known.value), 0))
        return np.stack([scorer.score(known) for scorer in self._scorers], axis=1)

    def standing(self, known: Known) -> Float64:
        """The same as of each row, whatever the row carries: what lasts until the next value stands, [N, R]."""
        standing = replace(known, value=known.last)
        if not self._scorers:
            return np.empty((len(known.value), 0))
        return np.stack([each.score(standing if each.lasts else known) for each in self._scorers], axis=1)

    def lasting(self, last_NS: Float64, age_NS: Float64) -> Float64:
        """Scores of the rules that read nothing but last values, whatever the rows carry, [N, R]; NaN of the others."""
        nothing_NS = np.full_like(last_NS, np.nan)
        known = Known(last_NS, last_NS, age_NS, *[nothing_NS] * 4)
        scores = [each.score(known) if each.lasts else nothing_NS[:, 0] for each in self._scorers]
        return np.stack(scores, axis=1) if scores else np.empty((len(last_NS), 0))

    def taken(self, rule: int, last_S: Float64, age_S: Float64) -> Sequence[tuple[int, Taken]]:
        """What a rule took of one row that it scored: column and value of each of its signals, as configured.

        Args:
            rule: its column in the scores.
            last_S: last known values, as in `Known`.
            age_S: seconds since they were seen, as in `Known`.
        """
        return self._scorers[rule].taken(last_S, age_S)


class RuleScorer(Protocol):
    """One rule, bound to its columns.

    Attributes:
        lasts: does a score stand until the signal's next value? A level does, a move does not.
    """

    lasts: ClassVar[bool]

    def score(self, known: Known) -> Float64:
        """[N]; NaN where none of its signals was observed."""
        ...

    def taken(self, last_S: Float64, age_S: Float64) -> Sequence[tuple[int, Taken]]:
        """What it took of one row, by column."""
        ...


class Band:
    """How far a value lies outside [low, high], raw units; on the bound is inside."""

    lasts: ClassVar[bool] = True

    def __init__(self, rule: Rule, layout: Layout) -> None:
        self._column = layout.index[rule.signals[0]]
        self._low = -np.inf if rule.low is None else rule.low
        self._high = np.inf if rule.high is None else rule.high

    def score(self, known: Known) -> Float64:
        """Distance from the band, [N]."""
        value: Float64 = known.value[:, self._column]
        return np.maximum(np.maximum(self._low - value, value - self._high), value * 0.0)

    def taken(self, last_S: Float64, age_S: Float64) -> Sequence[tuple[int, Taken]]:
        """The row's own value."""
        return [(self._column, _taken(last_S[self._column], age_S[self._column]))]


class Move:
    """|change| over the entity's typical one, both in model scale. The first value is no move: 0."""

    lasts: ClassVar[bool] = False

    def __init__(self, rule: Rule, layout: Layout) -> None:
        self._column = layout.index[rule.signals[0]]

    def score(self, known: Known) -> Float64:
        """Size of the move in typical ones, [N]."""
        ratio = np.nan_to_num(np.abs(known.change[:, self._column]) / known.scale[:, self._column], nan=0.0)
        return np.where(np.isnan(known.value[:, self._column]), np.nan, ratio)

    def taken(self, last_S: Float64, age_S: Float64) -> Sequence[tuple[int, Taken]]:
        """The row's own value."""
        return [(self._column, _taken(last_S[self._column], age_S[self._column]))]


class Fall:
    """How far a value lies below the one before: in percent where it is modelled as a logarithm, else in its unit.

    Not in typical changes: those follow the volatility, so that in a crisis every fall is soon a usual one.
    """

    lasts: ClassVar[bool] = False

    def __init__(self, rule: Rule, layout: Layout) -> None:
        self._column = layout.index[rule.signals[0]]
        self._logarithmic = layout.logarithmic[self._column]

    def score(self, known: Known) -> Float64:
        """Size of the fall, [N]; 0 where the value rose or is the first."""
        change = np.nan_to_num(known.change[:, self._column], nan=0.0)
        fall = np.maximum(-100.0 * np.expm1(change) if self._logarithmic else -change, 0.0)
        return np.where(np.isnan(known.value[:, self._column]), np.nan, fall)

    def taken(self, last_S: Float64, age_S: Float64) -> Sequence[tuple[int, Taken]]:
        """The row's own value."""
        return [(self._column, _taken(last_S[self._column], age_S[self._column]))]


class Average:
    """What is usual of late: the mean of about the last four values, geometric where a logarithm is modelled."""

    lasts: ClassVar[bool] = True

    def __init__(self, rule: Rule, layout: Layout) -> None:
        self._column = layout.index[rule.signals[0]]
        self._logarithmic = layout.logarithmic[self._column]

    def score(self, known: Known) -> Float64:
        """The average, [N]."""
        mean = known.average[:, self._column]
        return np.where(np.isnan(known.value[:, self._column]), np.nan, np.exp(mean) if self._logarithmic else mean)

    def taken(self, last_S: Float64, age_S: Float64) -> Sequence[tuple[int, Taken]]:
        """The row's own value."""
        return [(self._column, _taken(last_S[self._column], age_S[self._column]))]


class Frozen:
    """How often in a row all signals repeated what they were, over the rule's `rows`."""

    lasts: ClassVar[bool] = True

    def __init__(self, rule: Rule, layout: Layout) -> None:
        assert rule.rows is not None
        self._columns = [layout.index[name] for name in rule.signals]
        self._per_row = 1.0 / rule.rows

    def score(self, known: Known) -> Float64:
        """Repetitions in multiples of `rows`, [N]."""
        still: Float64 = known.still[:, self._columns].min(axis=1) * self._per_row
        return np.where(np.isnan(known.value[:, self._columns]).all(axis=1), np.nan, still)

    def taken(self, last_S: Float64, age_S: Float64) -> Sequence[tuple[int, Taken]]:
        """The values that stand still."""
        return [(column, _taken(last_S[column], age_S[column])) for column in self._columns]


class News2:
    """National Early Warning Score 2, SpO2 scale 1 (Royal College of Physicians, 2017, chart 1).

    Sums the bands of the last known vitals; one never seen or older than 24 hours counts 0. Values are rounded to
    the chart's resolution (whole units, temperature in tenths of a degree Celsius). `consciousness` is the Glasgow
    coma scale: below 15 counts as not alert. `supplemental_oxygen` is the inspired fraction or a 0/1 flag.
    """

    lasts: ClassVar[bool] = True

    def __init__(self, rule: Rule, layout: Layout) -> None:
        self._inputs = [(NEWS2_BANDS[vital], layout.index[signal]) for vital, signal in rule.inputs.items()]

    def score(self, known: Known) -> Float64:
        """The aggregate score, 0..20, [N]."""
        total = np.zeros(len(known.value))
        observed = np.zeros(len(known.value), dtype=np.bool_)
        for bands, column in self._inputs:
            current = known.age[:, column] <= _STALE_SECONDS
            total += np.where(current, bands.points(known.last[:, column]), 0.0)
            observed |= ~np.isnan(known.value[:, column])
        return np.where(observed, total, np.nan)

    def taken(self, last_S: Float64, age_S: Float64) -> Sequence[tuple[int, Taken]]:
        """Each vital sign's last value and its points, which add up to the score."""
        return [
            (column, _taken(last_S[column], age_S[column], float(bands.points(last_S[column]))))
            for bands, column in self._inputs
        ]


@dataclass(frozen=True, slots=True)
class Bands:
    """One vital sign's points: `points_of[i]` up to and including `upper[i]`, the last above all of them.

    `per_unit`: resolution of the chart, steps per unit; 0 = values are not rounded.
    """

    upper: tuple[float, ...]
    points_of: tuple[float, ...]
    per_unit: float = 1.0

    def points(self, value: Float64) -> Float64:
        """Points of each value; NaN counts as above all bounds and must be masked by the caller."""
        steps = np.rint(value * self.per_unit) if self.per_unit else value
        return np.array(self.points_of)[np.searchsorted(np.array(self.upper), steps, side="left")]


def _taken(last: float, age_seconds: float, points: float | None = None) -> Taken:
    if not age_seconds <= _STALE_SECONDS:
        return Taken(None, None)
    return Taken(float(f"{last:.6g}"), float(age_seconds), points)  # what is remembered has the digits of a float32


NEWS2_BANDS = {
    "respiratory_rate": Bands((8, 11, 20, 24), (3, 1, 0, 2, 3)),
    "spo2": Bands((91, 93, 95), (3, 2, 1, 0)),
    "supplemental_oxygen": Bands((_ROOM_AIR,), (0, 2), per_unit=0.0),
    "systolic_bp": Bands((90, 100, 110, 219), (3, 2, 1, 0, 3)),
    "heart_rate": Bands((40, 50, 90, 110, 130), (3, 1, 0, 1, 2, 3)),
    "consciousness": Bands((14,), (3, 0)),
    "temperature": Bands((350, 360, 380, 390), (3, 1, 0, 1, 2), per_unit=10.0),
}
"""Vital -> points, in the chart's steps."""
_SCORERS: dict[RuleKind, type[Band] | type[Move] | type[Fall] | type[Average] | type[News2] | type[Frozen]] = {
    RuleKind.BAND: Band,
    RuleKind.MOVE: Move,
    RuleKind.FALL: Fall,
    RuleKind.AVERAGE: Average,
    RuleKind.NEWS2: News2,
    RuleKind.FROZEN: Frozen,
}
