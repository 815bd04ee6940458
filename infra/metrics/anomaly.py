"""Anomaly scores against 0/1 labels: ranking measures, and one that forgives labels that are off by a few rows.

N rows, A anomalous segments, T thresholds. Score: high = anomalous.
"""

import numpy as np
from numpy.typing import NDArray

from schemas.observation import Bool, Float64, Int64

_THRESHOLDS = 250
"""As in the authors' code."""


def auroc(score_N: Float64, label_N: Bool) -> float:
    """Area under the ROC curve: P(an anomalous row scores higher than a normal one), ties count half.

    NaN when a class is absent.
    """
    label_N = label_N.astype(np.bool_)
    positive, negative = int(label_N.sum()), int((~label_N).sum())
    if positive == 0 or negative == 0:
        return float("nan")
    _, tie_N, count = np.unique(score_N, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2.0
    above = rank[tie_N][label_N].sum() - positive * (positive + 1) / 2.0
    return float(above / (positive * negative))


def auprc(score_N: Float64, label_N: Bool) -> float:
    """Average precision: sum over distinct thresholds of (recall gained) * precision, without interpolation.

    A random scorer reaches the share of anomalous rows. NaN when no row is anomalous.
    """
    label_N = label_N.astype(np.bool_)
    positive = int(label_N.sum())
    if positive == 0:
        return float("nan")
    order = np.argsort(-score_N, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(score_N[order])), len(order) - 1)
    hits = np.cumsum(label_N[order])[last_of_tie]
    precision = hits / (last_of_tie + 1.0)
    return float((np.diff(hits, prepend=0) * precision).sum() / positive)


def vus_pr(score_N: Float64, label_N: Bool, window: int = 100) -> float:
    """Volume under the surface of range-PR curves (Paparrizos et al., VLDB 2022, sections 4.2 and 5).

    The mean over w = 0..`window` of the area under the precision-recall curve, where labels reach w // 2 rows beyond
    each segment, falling as sqrt(1 - distance / w), and recall is multiplied by the share of segments touched.
    250 thresholds at equal ranks, trapezoids, as in the authors' code. One series: score several series apart and
    average, for a segment must not reach over a seam. NaN when no row is anomalous.

    Args:
        score_N: scores of one series, in row order.
        label_N: its labels.
        window: the largest w. The authors use the series' period; a fixed default keeps tables comparable.
    """
    label_N = label_N.astype(np.bool_)
    if not label_N.any():
        return float("nan")
    order = np.argsort(-score_N, kind="stable")
    rank_T = np.linspace(0, len(score_N) - 1, _THRESHOLDS).astype(np.int64)
    threshold_T = score_N[order][rank_T]
    flagged_T = np.searchsorted(-score_N[order], -threshold_T, side="right")
    areas = [
        _range_area(score_N, _widened(label_N, width), label_N, order, threshold_T, flagged_T)
        for width in range(window + 1)
    ]
    return float(np.mean(areas))


def segments(label_N: NDArray[np.generic]) -> Int64:
    """First and last row of every run of non-zero labels, [A, 2]."""
    edges = np.diff((label_N != 0).astype(np.int8), prepend=0, append=0)
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1], axis=1)


def _widened(label_N: Bool, width: int) -> Float64:
    soft_N = label_N.astype(np.float64)
    for first, last in segments(label_N).tolist():
        after = np.arange(last + 1, min(last + width // 2 + 1, len(soft_N)))
        soft_N[after] += np.sqrt(1.0 - (after - last) / max(width, 1))
        before = np.arange(max(first - width // 2, 0), first)
        soft_N[before] += np.sqrt(1.0 - (first - before) / max(width, 1))
    return np.minimum(soft_N, 1.0)


def _range_area(
    score_N: Float64, soft_N: Float64, label_N: Bool, order: Int64, threshold_T: Float64, flagged_T: Int64
) -> float:
    hit_T = np.cumsum(soft_N[order])[flagged_T - 1]
    peak_A = np.array([score_N[first : last + 1].max() for first, last in segments(soft_N).tolist()])
    touched_T = (peak_A[:, None] >= threshold_T).mean(axis=0)
    recall_T = np.minimum(hit_T / ((label_N.sum() + soft_N.sum()) / 2.0), 1.0) * touched_T
    recall, precision = np.append(0.0, recall_T), np.append(1.0, hit_T / flagged_T)
    return float((np.diff(recall) * (precision[1:] + precision[:-1]) / 2.0).sum())
