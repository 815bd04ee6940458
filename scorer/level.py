"""How far each signal stands from its own long level, in its own deviations: what a fault cannot soon make ordinary.

Mean and deviation forget over 4,000 values and learn from three deviations at most (Huber, 1964), so that a fault of
hundreds of rows moves them little. The mean is kept as its difference to the newest value, as float32 holds it then
whatever the signal's offset; the deviation is only ever multiplied, so that no value's square has to be held.

N packed rows, E packed entities, S signals.
"""

import numpy as np

from schemas.observation import Bool, Field
from schemas.prediction import Float32
from scorer.recurrence import slices

_SPAN = 4000.0
_CLIP, _EARLY = 3.0, 20.0
"""Deviations learned from at most, and how many times that the first value may teach."""
LARGEST = 10.0
"""Deviations told apart at most: what never moved and moves has so many."""


def initial(shape: tuple[int, int]) -> dict[str, Field]:
    """State of signals never seen, [E, S]."""
    return {name: np.zeros(shape, dtype=np.float32) for name in ("above", "spread")}


def deviations(
    change_NS: Float32,
    present_NS: Bool,
    seen_NS: Float32,
    differenced_S: Bool,
    waves: tuple[int, ...],
    state: dict[str, Field],
) -> Float32:
    """Of every value from the mean of those before, in [-10, 10]; 0 where absent. [N, S].

    Args:
        change_NS: since the signal's last value, 0 where absent.
        present_NS: the row carries the signal.
        seen_NS: values of the judged series, this one included, at least 1.
        differenced_S: the change itself is the judged series.
        waves: sizes of the waves.
        state: `above`, the newest value minus the mean (of a change: minus the mean), and `spread`; changed in place.
    """
    found_NS = np.empty_like(change_NS)
    for rows, size in slices(waves):
        above, spread = state["above"][:size], state["spread"][:size]
        deviation = change_NS[rows] + above
        found_NS[rows] = _learn(deviation, present_NS[rows], seen_NS[rows], differenced_S, above, spread)
    return found_NS


def _learn(
    deviation_ES: Float32, present_ES: Bool, seen_ES: Float32, differenced_S: Bool, above_ES: Field, spread_ES: Field
) -> Float32:
    known = spread_ES > 0
    relative = np.divide(deviation_ES, spread_ES, out=np.sign(deviation_ES) * np.float32(LARGEST), where=known)
    rate = np.maximum(np.float32(1.0) / seen_ES, np.float32(1.0 / _SPAN)) * present_ES
    limit = np.float32(_CLIP) + np.float32(_CLIP * _EARLY) / seen_ES
    learned = np.clip(relative, -limit, limit)
    step = rate * np.where(known, learned * spread_ES, deviation_ES)
    left = np.float32(1.0) - rate
    grown = np.sqrt(left * (np.float32(1.0) + rate * np.square(learned)))
    spread_ES[...] = np.where(known, spread_ES * grown, np.sqrt(rate * left) * np.abs(deviation_ES))
    above_ES[...] = np.where(differenced_S, above_ES, deviation_ES) - step
    found: Float32 = np.clip(relative, np.float32(-LARGEST), np.float32(LARGEST)) * present_ES
    return found
