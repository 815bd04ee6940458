"""Silence after an alert: the same thing again is not news unless it is clearly worse."""

from dataclasses import dataclass

from scorer.stages.finding import Decision, Finding, Memory


@dataclass(frozen=True, slots=True)
class Cooldown:
    """Within the silence only a score `escalation` times the last peak, or a higher severity, passes."""

    escalation: float

    def __call__(self, finding: Finding, memory: Memory) -> Decision | None:
        """Judge one finding."""
        if finding.row_number >= memory.quiet_until or finding.rank > memory.open_rank > 0:
            return None
        if finding.strength >= self.escalation * memory.peak:
            return None
        return Decision(None, "cooling down")
