"""Below every severity: nothing to open; an open alert counts the row towards its resolution."""

from dataclasses import dataclass

from schemas.alert import Change
from scorer.stages.finding import Decision, Finding, Memory


@dataclass(frozen=True, slots=True)
class Threshold:
    """Ends the judgement of rows that reach no severity; resolves after `resolve_after` of them in a row."""

    resolve_after: int

    def __call__(self, finding: Finding, memory: Memory) -> Decision | None:
        """Judge one finding."""
        if finding.rank > 0:
            memory.below = 0
            return None
        memory.above = 0
        if not memory.is_open:
            return Decision(None, "below threshold")
        memory.below += 1
        if memory.below < self.resolve_after:
            return Decision(None, "waiting to resolve")
        rank, memory.open_rank = memory.open_rank, 0
        return Decision(Change.RESOLVED, f"{memory.below} rows below threshold", rank)
