"""What every table must print beside its figures: persistence for forecasts and states, base rates; scores of anomaly.

N rows, S signals, H horizons, Q quantiles, C classes.
"""

import numpy as np
import pandas as pd

from schemas.observation import Float64, Int64


def persistence(last_NS: Float64, n_horizons: int, n_quantiles: int) -> Float64:
    """The last known value at every horizon and quantile, [N, S, H, Q]; a read-only view."""
    return np.broadcast_to(last_NS[..., None, None], (*last_NS.shape, n_horizons, n_quantiles))


def random_scores(n: int, random: np.random.Generator) -> Float64:
    """Uniform scores in [0, 1), [N]: what a detector that knows nothing reaches."""
    return random.random(n)


def ewma_z(values_NS: Float64, entity_N: Int64, span: float = 100.0) -> Float64:
    """The largest |deviation| of a row's signals from the mean of its entity's rows before, in their deviations, [N].

    Mean and deviation are exponentially weighted over about `span` values (the weighted average of all while they are
    fewer). 0 where nothing is known, or nothing had varied. NaN = missing.
    """
    frame = pd.DataFrame(values_NS)
    moving = frame.groupby(entity_N).ewm(span=span, ignore_na=True)
    mean_NS, sd_NS = (
        each.droplevel(0).sort_index().groupby(entity_N).shift().to_numpy()
        for each in (moving.mean(), moving.std(bias=True))
    )
    z_NS = np.divide(np.abs(values_NS - mean_NS), sd_NS, out=np.zeros_like(values_NS), where=sd_NS > 0)
    score_N: Float64 = np.nan_to_num(z_NS).max(axis=1, initial=0.0)
    return score_N


def same_class(now_N: Int64, n_classes: int) -> Float64:
    """All of the probability on the class that stands now, [N, C]."""
    return np.eye(n_classes)[now_N]


def base_rates(came_N: Int64, n_classes: int) -> Float64:
    """The share of each class among the rows judged, on every row, [N, C]: no constant answer has a lower log loss."""
    share_C = np.bincount(came_N, minlength=n_classes) / max(len(came_N), 1)
    return np.broadcast_to(share_C, (len(came_N), n_classes))
