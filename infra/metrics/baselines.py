"""What every table must print beside its figures: persistence for forecasts, a random scorer for anomalies.

N rows, S signals, H horizons, Q quantiles.
"""

import numpy as np

from schemas.observation import Float64


def persistence(last_NS: Float64, n_horizons: int, n_quantiles: int) -> Float64:
    """The last known value at every horizon and quantile, [N, S, H, Q]."""
    shape = (*last_NS.shape, n_horizons, n_quantiles)
    return np.broadcast_to(last_NS[..., None, None], shape).copy()


def random_scores(n: int, random: np.random.Generator) -> Float64:
    """Uniform scores in [0, 1), [N]: what a detector that knows nothing reaches."""
    return random.random(n)
