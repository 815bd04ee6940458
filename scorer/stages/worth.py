"""What a finding is worth: log10 of the expected cost of a miss over that of a false alarm, one scale for all kinds.

By Bayes' rule an alarm is due where probability x cost of a miss exceeds (1 - probability) x 1, at worth 0. A task's
probability is calibrated. A row's surprise is -log10 p, and the odds that a p-value supports grow about as 1 / p
(Sellke, Bayarri and Berger, 2001): the configured threshold stands at the worth of a finding as likely as not.
What a rule finds is certain; whether it matters is not: a warning is as likely as not to, and an info less.

N rows.
"""

import numpy as np
from numpy.typing import NDArray

from schemas.alerting import AlertSettings, Severity
from schemas.layout import Layout
from schemas.observation import Float64
from scorer.stages.finding import Kind

_MATTERS = {Severity.INFO: 0.2, Severity.WARNING: 0.5, Severity.CRITICAL: 0.8}
_LEAST = 1e-4
"""Of a probability and of its complement: odds stay finite."""


class Worth:
    """Values findings of one kind.

    Args:
        layout: of the monitor; `alerts` say what a miss costs.
        kind: of the findings.
    """

    def __init__(self, layout: Layout, kind: Kind) -> None:
        self._settings = layout.monitor.alerts
        self._kind = kind
        self._cost = float(np.log10(self._settings.cost_of(kind.task)))
        levels = sorted((value, level) for level, value in kind.severities.items())
        self._value = [value for value, _ in levels]
        self._odds = _log_odds(np.array([_MATTERS[level] for _, level in levels]))

    def of(self, strength_N: Float64) -> Float64:
        """Worth of findings of these strengths, [N]; NaN stays."""
        if self._kind.steered:
            return strength_N - self._settings.threshold + self._cost
        if self._kind.choice is not None:
            return _log_odds(_clipped(strength_N)) + self._cost
        if not self._value:
            return np.full_like(strength_N, np.nan)
        return np.interp(strength_N, self._value, self._odds) + self._cost


def priced_ranks(settings: AlertSettings, worth_N: Float64, price_N: Float64) -> NDArray[np.int8]:
    """The severity that learned scores of this worth reach at a price; 0 none. A low price makes nothing critical."""
    rank_N = np.where(worth_N >= price_N, Severity.WARNING.rank, 0)
    critical_N = worth_N >= np.maximum(price_N, 0.0) + settings.critical - settings.threshold
    return np.where(critical_N, Severity.CRITICAL.rank, rank_N).astype(np.int8)


def _log_odds(probability_N: Float64) -> Float64:
    return np.log10(probability_N / (1.0 - probability_N))


def _clipped(probability_N: Float64) -> Float64:
    return np.clip(probability_N, _LEAST, 1.0 - _LEAST)
