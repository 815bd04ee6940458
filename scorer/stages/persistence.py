"""One row above may be chance: an alert opens after several consecutive ones."""

from dataclasses import dataclass

from scorer.stages.finding import Decision, Finding, Memory


@dataclass(frozen=True, slots=True)
class Persistence:
    """Counts consecutive rows above; fewer than `rows` open nothing."""

    rows: int

    def __call__(self, finding: Finding, memory: Memory) -> Decision | None:
        """Judge one finding."""
        consecutive = memory.above_row == finding.row_number - 1
        memory.above = min(memory.above, self.rows) + 1 if consecutive else 1
        memory.above_row = finding.row_number
        if memory.is_open or memory.above >= self.rows:
            return None
        return Decision(None, "not persistent yet")
