"""The risk that a state or event task sees: how likely the classes are that it warns of, and how likely they must be.

N rows, C classes.
"""

import numpy as np

from schemas.observation import Bool, Float64
from schemas.prediction import Float32
from schemas.task import Task

_DECIMALS = 4
"""The last bits of a float must not decide."""


def risk_of(task: Task, probability_NC: Float32, taught_N: Bool) -> Float64:
    """Probability of the classes that an alert is about, rounded, [N]; NaN where no network knew enough to answer."""
    warned_N = probability_NC[:, task.warns_from :].astype(np.float64).sum(axis=1)
    return np.where(taught_N & probability_NC.any(axis=1), np.round(warned_N, _DECIMALS), np.nan)


def asked(threshold: float, strictness_N: Float64 | float) -> Float64:
    """The probability that a severity asks for in place of `threshold`: of odds 10^strictness times as high, [N].

    What is certain reaches every severity, and of two the worse one asks for no less.

    >>> [round(float(asked(0.3, strictness)), 2) for strictness in (0.0, 0.3, 1.0, -0.3)]
    [0.3, 0.46, 0.81, 0.18]
    """
    times_N = np.power(10.0, strictness_N)
    return np.minimum(threshold * times_N / (1.0 + threshold * (times_N - 1.0)), 1.0)
