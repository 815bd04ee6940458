"""The Numenta Anomaly Benchmark's score, v1.1 (Lavin and Ahmad, 2015, sections II.B to II.D).

An alert inside a window earns by how early it is, the best one per window; every alert outside costs; every window
without one costs. 0 is the silent detector, 100 the perfect one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from schemas.observation import Float64, Int64

_PROBATION, _LONGEST = 0.15, 5000
_FAR = 3.0
"""Window widths after which a false alert costs in full."""


class Profile(Enum):
    """Weights of a true positive, a false positive and a missed window."""

    STANDARD = (1.0, 0.11, 1.0)
    LOW_FP = (1.0, 0.22, 1.0)
    LOW_FN = (1.0, 0.11, 2.0)


@dataclass(frozen=True, slots=True)
class Series:
    """One file: how many rows, and the first and last row of each window, [A, 2] ascending."""

    rows: int
    windows: Int64

    @property
    def probation(self) -> int:
        """Rows at the start that are not scored."""
        return int(_PROBATION * min(self.rows, _LONGEST))


def nab_score(alerts: Sequence[Int64], series: Sequence[Series], profile: Profile) -> float:
    """Score of alerts as they were raised: each one counts, and no threshold is chosen here.

    Args:
        alerts: for each series the rows alerted.
        series: the files.
        profile: the weights.
    """
    raw = sum(raw_score(rows, each, profile) for rows, each in zip(alerts, series, strict=True))
    return normalised(raw, _n_windows(series), profile)


def raw_score(alerts: Int64, series: Series, profile: Profile) -> float:
    """What the rows alerted in one file are worth; those of all files together are what is normalised."""
    scored = alerts[alerts >= series.probation]
    worth, window = _worth(series, profile, scored)
    total = float(worth[window < 0].sum())
    for each in range(len(series.windows)):
        inside = worth[window == each]
        total += float(inside.max()) if len(inside) else -profile.value[2]
    return total


def normalised(raw: float, windows: float, profile: Profile) -> float:
    """The raw score of files that hold so many windows in all, between the silent detector's and the perfect one's."""
    true_weight, _, missed_weight = profile.value
    return 100.0 * (raw + missed_weight * windows) / ((true_weight + missed_weight) * windows)


def nab_optimised(scores: Sequence[Float64], series: Sequence[Series], profile: Profile) -> tuple[float, float]:
    """NAB's own rule: every row scored at or above one threshold is an alert, and the labels choose the threshold.

    Returns:
        The best score over all thresholds, and its threshold (inf: none beats silence).
    """
    threshold = np.concatenate(
        [[np.inf], *(score[each.probation :] for score, each in zip(scores, series, strict=True))]
    )
    gain = [np.zeros(1)]
    for score, each in zip(scores, series, strict=True):
        gain.append(_gains(score, each, profile))
    order = np.argsort(-threshold, kind="stable")
    total = np.cumsum(np.concatenate(gain)[order])
    last_of_tie = np.append(np.flatnonzero(threshold[order][1:] != threshold[order][:-1]), len(order) - 1)
    silent = -profile.value[2] * _n_windows(series)
    best = last_of_tie[np.argmax(total[last_of_tie])]
    raw = float(silent + total[best])
    return normalised(raw, _n_windows(series), profile), float(threshold[order][best])


def _gains(score: Float64, series: Series, profile: Profile) -> Float64:
    """What each scored row adds to the total when the threshold falls to its score."""
    worth, window = _worth(series, profile, np.arange(series.rows))
    gain = worth.copy()
    for each in range(len(series.windows)):
        inside = np.flatnonzero((window == each) & (np.arange(series.rows) >= series.probation))
        inside = inside[np.argsort(-score[inside], kind="stable")]
        best = np.maximum.accumulate(np.append(-profile.value[2], worth[inside]))
        gain[inside] = np.diff(best)
    return gain[series.probation :]


def _worth(series: Series, profile: Profile, row: Int64) -> tuple[Float64, Int64]:
    """Of each of some rows what an alert there is worth, and the window it is in (-1 none)."""
    window = np.full(len(row), -1)
    position = np.full(len(row), _FAR)
    for each, (first, last) in enumerate(series.windows.tolist()):
        width = last - first + 1
        after = row > last
        position[after] = (row[after] - last) / max(width - 1, 1)
        inside = (row >= first) & (row <= last)
        window[inside], position[inside] = each, -(last - row[inside] + 1) / width
    true_weight, false_weight, _ = profile.value
    reward = _sigmoid(position)
    return np.where(window >= 0, reward * true_weight / _sigmoid(np.array(-1.0)), reward * false_weight), window


def _sigmoid(position: Float64) -> Float64:
    value: Float64 = np.where(position >= _FAR, -1.0, 2.0 / (1.0 + np.exp(5.0 * position)) - 1.0)
    return value


def _n_windows(series: Sequence[Series]) -> int:
    return sum(len(each.windows) for each in series)
