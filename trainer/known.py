"""What is known of forecasts, as columns and numbers: the monitor's `knowledge`, bound to a layout.

S signals that are forecast.
"""

from dataclasses import dataclass

import numpy as np

from schemas.layout import Layout
from schemas.observation import Float64


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lowest and highest forecast of each signal, [S]."""

    low_S: Float64
    high_S: Float64


@dataclass(frozen=True, slots=True)
class Drawn:
    """An implication: columns of condition and conclusion, and what is concluded.

    Attributes:
        sign: 1 where the condition is "above", -1 where it is "below": it holds where sign * median > sign * threshold.
    """

    when: int
    sign: float
    threshold: float
    then: int
    low: float
    high: float


def bounds_of(layout: Layout, *, in_model_scale: bool = False) -> Bounds:
    """The bounds that ranges and orders leave."""
    declared = {signal.name: signal.range for signal in layout.signals[: layout.n_targets]}
    ends = np.array(list(layout.monitor.knowledge.ranges(declared).values()), dtype=np.float64)
    if in_model_scale:
        ends = np.array([[_model(end, column, layout) for end in pair] for column, pair in enumerate(ends.tolist())])
    return Bounds(ends[:, 0], ends[:, 1])


def pairs_of(layout: Layout) -> tuple[tuple[int, int], ...]:
    """(lower, higher) columns."""
    return tuple((layout.index[low], layout.index[high]) for low, high in layout.monitor.knowledge.pairs)


def drawn_of(layout: Layout, *, in_model_scale: bool = False) -> tuple[Drawn, ...]:
    """The implications."""
    found = []
    for each in layout.monitor.knowledge.implications:
        when, then = layout.index[each.when.signal], layout.index[each.then.signal]
        sign, threshold = (1.0, each.when.above) if each.when.above is not None else (-1.0, each.when.below)
        assert threshold is not None
        numbers = ((when, threshold), (then, each.then.range[0]), (then, each.then.range[1]))
        scaled = [_model(value, column, layout) if in_model_scale else value for column, value in numbers]
        found.append(Drawn(when, sign, scaled[0], then, scaled[1], scaled[2]))
    return tuple(found)


def _model(value: float, column: int, layout: Layout) -> float:
    """One number of a signal in model scale; nothing is below what has no logarithm."""
    if not layout.logarithmic[column]:
        return value
    return float(np.log(value)) if value > 0 else -np.inf
