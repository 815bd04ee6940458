"""Each signal given the others: the part of a deviation that the entity's other signals do not explain.

z_j = (P u)_j / sqrt(P_jj), u the standardised deviations and P the inverse of their correlations: the residual of the
regression of signal j on the others, in its own standard deviations. P itself is the state: rows update it by Sherman
and Morrison (1950), so that a row costs S^2 and no inverse is ever taken. Every row also adds a little variance to one
signal in turn: a ridge that bounds P; to an absent signal it gives the variance that absence would take away.

N packed rows, E packed entities, S signals, D kinds of deviation.
"""

import numpy as np

from schemas.observation import Bool, Field
from schemas.prediction import Float32
from scorer.recurrence import slices, total

_SPAN, _PRIOR_ROWS = 500.0, 10.0
"""Rows that the correlations remember, and rows that independence counts as at first."""
_RIDGE, _ABSENT_VARIANCE = 0.005, 1.0
_CLIP, _EARLY_CLIP = 10.0, 20.0
"""Standard deviations learned from at most (more for the first rows): one absurd value must not blind it."""
_LARGEST = 100.0
"""Standard deviations judged at most."""


def initial(e: int, d: int, s: int) -> dict[str, Field]:
    """State of entities never seen: mean squares, [E, D, S], and the inverse correlations, [E, D, S, S]."""
    precision = np.broadcast_to(np.eye(s, dtype=np.float32), (e, d, s, s)).copy()
    return {"square": np.zeros((e, d, s), dtype=np.float32), "precision": precision}


def given_others(
    deviation_NDS: Float32,
    present_NS: Bool,
    rate_NS: Float32,
    seen_N: Float32,
    waves: tuple[int, ...],
    real: tuple[int, ...],
    state: dict[str, Field],
) -> Float32:
    """Score every deviation, [N, D, S], before it is learned; 0 where absent.

    Args:
        deviation_NDS: any unit, 0 where absent.
        present_NS: the row carries the signal.
        rate_NS: how fast mean squares are learned, 0 where absent.
        seen_N: rows of the entity so far that carried anything.
        waves: sizes of the waves.
        real: how many entities of each wave are no padding. Only those are worked on: sums and products are exact to
            the last bit for any number of rows, and of many signals padding would cost most of the time.
        state: `square` and `precision`, changed in place.
    """
    z_NDS = np.zeros_like(deviation_NDS)
    for (whole, _), size in zip(slices(waves), real, strict=True):
        rows = slice(whole.start, whole.start + size)
        square, precision = state["square"][:size], state["precision"][:size]
        deviation, present = deviation_NDS[rows], present_NS[rows]
        known = square > 0
        standard = np.divide(deviation, np.sqrt(square), out=np.zeros_like(deviation), where=known)
        np.clip(standard, np.float32(-1e4), np.float32(1e4), out=standard)
        gain = _product(precision, standard)
        z = gain / np.sqrt(np.diagonal(precision, axis1=-2, axis2=-1))
        z_NDS[rows] = np.clip(z, np.float32(-_LARGEST), np.float32(_LARGEST)) * present[:, None]
        _correlate(precision, standard, gain, present, seen_N[rows])
        _spread(square, deviation, rate_NS[rows][:, None], seen_N[rows])
    return z_NDS


def _product(precision_EDSS: Float32, value_EDS: Float32) -> Float32:
    return total(precision_EDSS * value_EDS[..., None, :])


def _correlate(
    precision_EDSS: Float32, standard_EDS: Float32, gain_EDS: Float32, present_ES: Bool, seen_E: Float32
) -> None:
    """Forget a little, learn the row, then the ridge of the signal whose turn it is. Rows without signals: nothing.

    `gain_EDS` is the product of the precision and the deviations; that of the clipped ones differs for few entities.
    """
    e, s = present_ES.shape
    clipped = np.clip(standard_EDS, np.float32(-_CLIP), np.float32(_CLIP))
    least = np.float32(1.0 / _SPAN)
    rate_E = np.maximum(least, np.float32(1.0) / (seen_E + np.float32(_PRIOR_ROWS))) * present_ES.any(axis=1)
    rate = rate_E[:, None]
    left = np.float32(1.0) - rate
    beyond = np.flatnonzero((clipped != standard_EDS).any(axis=(1, 2)))
    gain_EDS[beyond] = _product(precision_EDSS[beyond], clipped[beyond])
    _lower(precision_EDSS, gain_EDS, rate / (left + rate * total(clipped * gain_EDS)))
    precision_EDSS /= left[..., None, None]
    turn = seen_E.astype(np.int64) % s
    row = np.arange(e)
    added = np.where(present_ES[row, turn], np.float32(_RIDGE), np.float32(_ABSENT_VARIANCE))[:, None] * rate
    added *= np.float32(s)
    gain = precision_EDSS[row, :, :, turn]
    _lower(precision_EDSS, gain, added / (np.float32(1.0) + added * gain[row, :, turn]))


def _lower(precision_EDSS: Float32, gain_EDS: Float32, weight_ED: Float32) -> None:
    """Subtract weight * gain gain^T. The product comes first: it is symmetric to the last bit, so P stays so."""
    outer = gain_EDS[..., :, None] * gain_EDS[..., None, :]
    outer *= weight_ED[..., None, None]
    precision_EDSS -= outer


def _spread(square_EDS: Float32, deviation_EDS: Float32, rate_E1S: Float32, seen_E: Float32) -> None:
    early = np.float32(1.0) + np.float32(_EARLY_CLIP) / (seen_E + np.float32(1.0))
    limit = np.sqrt(square_EDS) * (np.float32(_CLIP) * early)[:, None, None]
    limit = np.where(square_EDS > 0, limit, np.float32(np.inf))
    square_EDS += rate_E1S * (np.square(np.clip(deviation_EDS, -limit, limit)) - square_EDS)
