"""An entity that has shown few rows has no tail to be judged by, unless others' was lent; rules and tasks need none."""

from dataclasses import dataclass

import numpy as np

from schemas.observation import Bool, Int64
from scorer.stages.finding import Decision, Finding, Memory

_LENT_ROWS = 3
"""Of an entity that was lent experience: the first say where it stands (on ICU stays later alarms were as true)."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Holds learned scores back for an entity's first `rows` rows, or three if it was lent others' experience."""

    rows: int

    def __call__(self, finding: Finding, memory: Memory) -> Decision | None:  # noqa: ARG002
        """Judge one finding."""
        if not finding.steered or finding.row_number >= rows_needed(self.rows, finding.lent):
            return None
        return Decision(None, "warming up")


def rows_needed(rows: int, lent_N: Bool | bool) -> Int64:
    """Rows that entities must have shown, where those to whom nothing was lent need `rows`, [N] or one."""
    return np.where(lent_N, min(rows, _LENT_ROWS), rows)
