"""Online extreme-value tail: how improbable is a non-negative statistic, given all that it was before?

A log-normal body, and beyond its 0.98 quantile a Pareto tail (Hill, 1975); peaks over a threshold as in Siffer et al.
(2017, section 4), but each parameter is one number, updated in O(1). High = anomalous. The quantile is the body's
own, not tracked: a tracked one was measured to be no better on one signal, worse on several, and costs a quarter more
state. What is not log-normal is judged against the log-normal of its moments: evidence, not a calibrated probability.

A tail describes any number of statistics at once: all arrays share one shape, or broadcast to it. Everything is
element-wise, so an entity's tail does not depend on which others are updated beside it.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from schemas.observation import Bool, Field
from schemas.prediction import Float32
from scorer.recurrence import slices

_MEMORY = 4000.0
"""Values that the body remembers. Below it, plain means: early estimates are unbiased."""
_SHARE, _QUANTILE = 0.02, 2.0537489
"""Share of values in the Pareto tail, and where a normal body begins it."""
_PRIOR_EXCESS, _PRIOR_EXCEEDED = 0.2, 10.0
"""The prior's mean excess, and how many values beyond the quantile it counts as."""
_PRIOR_VARIANCE, _PRIOR_COUNT = 1.0, 10.0
"""log|x| of a normal x has variance 1.23, log x of an exponential one 1.64."""
_EXCESS_CLIP = 5.0
"""Mean excesses that one excess counts as at most: of an exponential tail this cuts 0.7 %."""
_SMALLEST_VARIANCE, _SMALLEST_EXCESS = 5e-2, 2e-2
_CLIP = 6.0
"""Deviations, in standard ones, that the body learns from at most: one absurd value must not blind it."""
_EARLY_CLIP = 100.0
"""More for the first few values: they say where the body is."""
WARM_UP = 30.0
"""Values after which half of a surprise is believed."""
_LARGEST = 300.0
"""-log10 of about the smallest float64."""
_BODY = (0.30118097, 0.34443741, 0.13735630, 0.01751876, -0.00150389, -0.00037730)
"""-log10 of the normal survival function on [-3, 2.054] as a polynomial, lowest power first: within 0.0011, rising."""
_LOWEST_Z = -3.0


@dataclass(frozen=True, slots=True)
class Tail:
    """State, float32 arrays that `update` changes in place.

    Attributes:
        count: values seen; may have length-1 axes where statistics are always seen together.
        mean, variance: of log x.
        excess: mean of log x beyond the body's 0.98 quantile, of the values beyond it (the Pareto tail's xi).
    """

    count: Float32
    mean: Float32
    variance: Float32
    excess: Float32

    @classmethod
    def initial(cls, shape: tuple[int, ...], count_shape: tuple[int, ...] | None = None) -> Self:
        """Tails that have seen nothing."""

        def zeros() -> Float32:
            return np.zeros(shape, dtype=np.float32)

        count = np.zeros(shape if count_shape is None else count_shape, dtype=np.float32)
        return cls(count, zeros(), zeros(), zeros())

    def fields(self) -> dict[str, Field]:
        """The arrays by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __getitem__(self, size: int) -> "Tail":
        """Views of the first `size` entries of the leading axis."""
        return Tail(self.count[:size], self.mean[:size], self.variance[:size], self.excess[:size])


def surprise(tail: Tail, log_x: Float32) -> Float32:
    """About -log10 P(X >= x): finite, >= 0, non-decreasing in x; near 0 while few values were seen.

    Args:
        tail: what was seen before x.
        log_x: finite natural logarithms, of the tail's shape.
    """
    z, deviation = _standardise(tail, log_x)
    return _surprise(tail, z, deviation, _tail_index(tail))


def update(tail: Tail, log_x: Float32, present: Bool) -> None:
    """Learn. Where `present` (broadcast) is False nothing changes, not a bit. Score first: `judge` does both."""
    z, deviation = _standardise(tail, log_x)
    _learn(tail, z, deviation, _tail_index(tail), present)


def judge(tail: Tail, log_x: Float32, present: Bool) -> Float32:
    """`surprise`, then `update`, at the price of little more than one of them."""
    z, deviation = _standardise(tail, log_x)
    xi = _tail_index(tail)
    scored = _surprise(tail, z, deviation, xi)
    _learn(tail, z, deviation, xi, present)
    return scored


def judge_rows(tail: Tail, log_NX: Float32, present_NX: Bool, waves: tuple[int, ...]) -> Float32:
    """`judge` packed rows in order; the tail is that of the packed entities."""
    surprise_NX = np.empty_like(log_NX)
    for rows, size in slices(waves):
        surprise_NX[rows] = judge(tail[size], log_NX[rows], present_NX[rows])
    return surprise_NX


def _standardise(tail: Tail, log_x: Float32) -> tuple[Float32, Float32]:
    """Log x in standard deviations, and the standard deviation, shrunk towards 1 while few values were seen."""
    known = np.minimum(tail.count, np.float32(_MEMORY))
    weight = known / (known + np.float32(_PRIOR_COUNT))
    variance = tail.variance * weight
    variance += (np.float32(1.0) - weight) * np.float32(_PRIOR_VARIANCE)
    np.maximum(variance, np.float32(_SMALLEST_VARIANCE), out=variance)
    deviation = np.sqrt(variance, out=variance)
    z = log_x - tail.mean
    z /= deviation
    return z, deviation


def _surprise(tail: Tail, z: Float32, deviation: Float32, xi: Float32) -> Float32:
    """Body up to its 0.98 quantile, then the Pareto tail."""
    inside = np.clip(z, np.float32(_LOWEST_Z), np.float32(_QUANTILE))
    beyond = np.maximum(z, np.float32(_QUANTILE))
    beyond -= np.float32(_QUANTILE)
    scored = _polynomial(inside)
    beyond *= deviation
    beyond /= xi * np.float32(np.log(10.0))
    scored += beyond
    scored *= tail.count / (tail.count + np.float32(WARM_UP))
    return np.minimum(scored, np.float32(_LARGEST), out=scored)


def _tail_index(tail: Tail) -> Float32:
    """The mean excess xi, shrunk towards its prior."""
    exceeded = _exceeded(tail)
    weight = exceeded / (exceeded + np.float32(_PRIOR_EXCEEDED))
    xi = tail.excess * weight
    xi += (np.float32(1.0) - weight) * np.float32(_PRIOR_EXCESS)
    return np.maximum(xi, np.float32(_SMALLEST_EXCESS), out=xi)


def _exceeded(tail: Tail) -> Float32:
    """About how many remembered values lay beyond the quantile."""
    return np.minimum(tail.count, np.float32(_MEMORY)) * np.float32(_SHARE)


def _polynomial(z: Float32) -> Float32:
    scored = z * np.float32(_BODY[-1])
    for coefficient in _BODY[-2:0:-1]:
        scored += np.float32(coefficient)
        scored *= z
    scored += np.float32(_BODY[0])
    return scored


def _learn(tail: Tail, z: Float32, deviation: Float32, xi: Float32, present: Bool) -> None:
    seen = present.astype(np.float32)
    rate = seen / np.minimum(tail.count + np.float32(1.0), np.float32(_MEMORY))
    beyond = (z > np.float32(_QUANTILE)) & present
    excess = z - np.float32(_QUANTILE)
    excess *= deviation
    np.minimum(excess, xi * np.float32(_EXCESS_CLIP), out=excess)
    excess -= tail.excess
    excess *= beyond / (_exceeded(tail) + np.float32(1.0))
    np.add(tail.excess, excess, out=tail.excess)
    limit = np.float32(_CLIP) + np.float32(_EARLY_CLIP) / np.square(tail.count + np.float32(1.0))
    difference = np.clip(z, -limit, limit) * deviation
    move = difference * rate
    np.add(tail.mean, move, out=tail.mean)
    tail.variance[...] *= np.float32(1.0) - rate
    difference *= move
    tail.variance[...] += difference * (np.float32(1.0) - rate)
    tail.count[...] += seen
