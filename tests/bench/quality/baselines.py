"""Detectors that every table must beat: moving z-score, Mahalanobis distance and principal components; random trees.

Score before learning.

N rows of one entity, S signals; NaN = missing.
"""

import numpy as np
from river.anomaly import HalfSpaceTrees

_SPAN, _RIDGE = 1000.0, 0.02
_EXPLAINED, _REFRESH, _LONG_SPAN, _CLIP = 0.9, 200, 2000.0, 20.0
"""Of the variance by the components; rows between two decompositions; rows remembered; deviations learned from."""
_TREES, _HEIGHT, _WINDOW = 25, 8, 250


def ewma_z(values_NS: np.ndarray, span: float = 100.0) -> np.ndarray:
    """The largest |deviation| over the signals from a moving average, in moving standard deviations, [N]."""
    mean = variance = np.zeros(values_NS.shape[1])
    count = np.zeros(values_NS.shape[1])
    score = np.zeros(len(values_NS))
    for row, values in enumerate(values_NS):
        present = np.isfinite(values)
        deviation = np.where(present & (count > 0), values - mean, 0.0)
        z = np.divide(np.abs(deviation), np.sqrt(variance), out=np.zeros_like(mean), where=variance > 0)
        score[row] = z.max()
        rate = np.maximum(1.0 / (count + 1.0), 1.0 / span) * present
        mean = np.where(present, mean + rate * (values - mean), mean)
        variance = (1.0 - rate) * (variance + rate * np.square(deviation))
        count += present
    return score


def mahalanobis(values_NS: np.ndarray) -> np.ndarray:
    """Distance from the moving mean under the moving covariance of 1,000 rows, [N]. A missing value is the mean."""
    s = values_NS.shape[1]
    mean, covariance = np.nan_to_num(values_NS[0]), np.eye(s)
    score = np.zeros(len(values_NS))
    for row, values in enumerate(values_NS):
        deviation = np.where(np.isfinite(values), values - mean, 0.0)
        ridge = np.diag(_RIDGE * np.diag(covariance) + 1e-12)
        score[row] = np.sqrt(max(float(deviation @ np.linalg.solve(covariance + ridge, deviation)), 0.0))
        rate = max(1.0 / (row + 2.0), 1.0 / _SPAN)
        mean = mean + rate * deviation
        covariance = (1.0 - rate) * (covariance + rate * np.outer(deviation, deviation))
    return score


def online_pca(values_NS: np.ndarray) -> np.ndarray:
    """What the leading components of the moving correlations leave of a row, [N]. A missing value is the mean."""
    s = values_NS.shape[1]
    mean, variance, correlation = np.nan_to_num(values_NS[0]), np.zeros(s), np.zeros((s, s))
    components = np.zeros((s, 0))
    score = np.zeros(len(values_NS))
    for row, values in enumerate(values_NS):
        deviation = np.where(np.isfinite(values), values - mean, 0.0)
        standard = np.divide(deviation, np.sqrt(variance), out=np.zeros(s), where=variance > 0)
        standard = np.clip(standard, -_CLIP, _CLIP)
        if components.shape[1]:
            score[row] = np.linalg.norm(standard - components @ (components.T @ standard))
        rate = max(1.0 / (row + 2.0), 1.0 / _LONG_SPAN)
        mean = mean + rate * deviation
        variance = (1.0 - rate) * (variance + rate * np.square(deviation))
        correlation = (1.0 - rate) * correlation + rate * np.outer(standard, standard)
        if row % _REFRESH == _REFRESH - 1:
            value, vector = np.linalg.eigh(correlation)
            share = np.cumsum(value[::-1]) / max(value.sum(), 1e-12)
            components = vector[:, ::-1][:, : int(np.searchsorted(share, _EXPLAINED)) + 1]
    return score


def half_space_trees(values_NS: np.ndarray) -> np.ndarray:
    """River's half-space trees (Tan et al., 2011) on values squeezed by each signal's running range, [N]."""
    trees = HalfSpaceTrees(n_trees=_TREES, height=_HEIGHT, window_size=_WINDOW, seed=0)
    low, high = np.full(values_NS.shape[1], np.inf), np.full(values_NS.shape[1], -np.inf)
    score = np.zeros(len(values_NS))
    for row, values in enumerate(values_NS):
        low, high = np.fmin(low, values), np.fmax(high, values)
        width = np.where(high > low, high - low, 1.0)
        squeezed = np.where(np.isfinite(values), (values - low) / width, 0.5)
        features = dict(enumerate(squeezed.tolist()))
        score[row] = trees.score_one(features)
        trees.learn_one(features)
    return score


def raised(score_N: np.ndarray, threshold: float, quiet: int = 100, escalation: float = 1.3) -> np.ndarray:
    """Rows on which a plain rule alerts: above the threshold, then silent unless clearly above the last alert."""
    rows, until, last = [], -1, 0.0
    for row in np.flatnonzero(score_N >= threshold).tolist():
        if row >= until or score_N[row] >= escalation * last:
            rows.append(row)
            until, last = row + quiet, score_N[row]
    return np.array(rows, dtype=np.int64)
