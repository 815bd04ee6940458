"""What is usual of a positive quantity: about its 99th percentile, by products alone.

Larger values raise it by at most `_UP`, smaller ones lower it by at most `_DOWN`, neither beyond the value itself, so
that a quantity that never varies is hit exactly (stochastic approximation in the logarithm; Robbins and Monro, 1951).
"""

import numpy as np

from schemas.observation import Bool, Field
from schemas.prediction import Float32

TRAINED = 16
"""Values before which nothing is usual: until then the largest is kept."""
_UP, _DOWN = np.float32(4.0), np.float32(0.995)
_MOST = np.iinfo(np.int16).max


def learn(usual: Field, count: Field, value: Float32, told: Bool) -> None:
    """Move `usual` and `count` [...] in place by what was `told`."""
    raised = np.where(count < TRAINED, np.maximum(usual, value), np.minimum(usual * _UP, value))
    lowered = np.where(count < TRAINED, usual, np.maximum(usual * _DOWN, value))
    usual[told] = np.where(value > usual, raised, lowered)[told]
    count[told] = np.minimum(count[told], _MOST - 1) + 1
