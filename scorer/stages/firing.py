"""The last stage: open a new alert, or escalate the open one."""

from dataclasses import dataclass

from schemas.alert import Change
from scorer.stages.finding import Decision, Finding, Memory
from scorer.stages.steering import Steering


@dataclass(frozen=True, slots=True)
class Firing:
    """Opens; an alert already open escalates when a severity or a peak is surpassed, and else is the same alert.

    `steering` is told of each; None: a budget is kept instead.
    """

    cooldown: int
    escalation: float
    steering: Steering | None = None

    def __call__(self, finding: Finding, memory: Memory) -> Decision | None:
        """Judge one finding."""
        if memory.is_open:
            return self._again(finding, memory)
        memory.started_ms = finding.time_ms
        return self._fire(finding, memory, Change.OPENED, "above threshold")

    def _again(self, finding: Finding, memory: Memory) -> Decision:
        worse = finding.rank > memory.open_rank
        if worse or finding.strength >= self.escalation * memory.peak:
            reason = "higher severity" if worse else f"{self.escalation:g} times the last peak"
            return self._fire(finding, memory, Change.ESCALATED, reason)
        return Decision(None, "same alert")

    def _fire(self, finding: Finding, memory: Memory, change: Change, reason: str) -> Decision:
        memory.open_rank = max(memory.open_rank, finding.rank)
        memory.below = 0
        memory.peak, memory.peak_ms = finding.strength, finding.time_ms
        memory.quiet_until = finding.row_number + self.cooldown
        if finding.steered and self.steering is not None:
            self.steering.fired(finding, memory)
        return Decision(change, reason, memory.open_rank)
