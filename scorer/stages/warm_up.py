"""An entity that has shown few rows has no tail to be judged by, unless others' was lent; rules and tasks need none."""

from dataclasses import dataclass

from scorer.stages.finding import Decision, Finding, Memory

_LENT_ROWS = 3
"""Of an entity that was lent experience: the first say where it stands (on ICU stays later alarms were as true)."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Holds learned scores back for an entity's first `rows` rows, or three if it was lent others' experience."""

    rows: int

    def __call__(self, finding: Finding, memory: Memory) -> Decision | None:  # noqa: ARG002
        """Judge one finding."""
        rows = min(self.rows, _LENT_ROWS) if finding.lent else self.rows
        if not finding.steered or finding.row_number >= rows:
            return None
        return Decision(None, "warming up")
