"""Detectors that every table must beat: a moving z-score, and a moving Mahalanobis distance. Score before learning.

N rows of one entity, S signals; NaN = missing.
"""

import numpy as np

_SPAN, _RIDGE = 1000.0, 0.02


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


def raised(score_N: np.ndarray, threshold: float, quiet: int = 100, escalation: float = 1.3) -> np.ndarray:
    """Rows on which a plain rule alerts: above the threshold, then silent unless clearly above the last alert."""
    rows, until, last = [], -1, 0.0
    for row in np.flatnonzero(score_N >= threshold).tolist():
        if row >= until or score_N[row] >= escalation * last:
            rows.append(row)
            until, last = row + quiet, score_N[row]
    return np.array(rows, dtype=np.int64)
