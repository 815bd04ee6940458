"""What every table must print beside its figures: persistence for forecasts and states, base rates, a random scorer.

N rows, S signals, H horizons, Q quantiles, C classes.
"""

import numpy as np

from schemas.observation import Float64, Int64


def persistence(last_NS: Float64, n_horizons: int, n_quantiles: int) -> Float64:
    """The last known value at every horizon and quantile, [N, S, H, Q]; a read-only view."""
    return np.broadcast_to(last_NS[..., None, None], (*last_NS.shape, n_horizons, n_quantiles))


def random_scores(n: int, random: np.random.Generator) -> Float64:
    """Uniform scores in [0, 1), [N]: what a detector that knows nothing reaches."""
    return random.random(n)


def same_class(now_N: Int64, n_classes: int) -> Float64:
    """All of the probability on the class that stands now, [N, C]."""
    return np.eye(n_classes)[now_N]


def base_rates(came_N: Int64, n_classes: int) -> Float64:
    """The share of each class among the rows judged, on every row, [N, C]: no constant answer has a lower log loss."""
    share_C = np.bincount(came_N, minlength=n_classes) / max(len(came_N), 1)
    return np.broadcast_to(share_C, (len(came_N), n_classes))
