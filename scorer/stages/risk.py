"""The risk that a state or event task sees: how likely the classes are that it warns of.

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
