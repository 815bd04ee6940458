"""Below every severity: nothing to open; an open alert counts the row towards its resolution.

Rows of a feed that is in doubt end nothing: they are counted apart, and once the feed is sound again the count of
those below begins anew.
"""

from dataclasses import dataclass

from schemas.alert import Change
from scorer.stages.finding import Decision, Finding, Memory


@dataclass(frozen=True, slots=True)
class Threshold:
    """Ends the judgement of rows that reach no severity; resolves after `resolve_after` sound ones in a row.

    After as many that are in doubt it says once that the all clear is withheld.
    """

    resolve_after: int

    def __call__(self, finding: Finding, memory: Memory) -> Decision | None:
        """Judge one finding."""
        if finding.rank > 0:
            memory.below = 0
            return None
        memory.above = 0
        if not memory.is_open:
            return Decision(None, "below threshold")
        if finding.doubted:
            return self._withhold(memory)
        memory.below = max(memory.below, 0) + 1
        if memory.below < self.resolve_after:
            return Decision(None, "waiting to resolve")
        rank, memory.open_rank = memory.open_rank, 0
        return Decision(Change.RESOLVED, f"{memory.below} rows below threshold", rank)

    def _withhold(self, memory: Memory) -> Decision:
        memory.below = max(min(memory.below, 0) - 1, -self.resolve_after - 1)
        told = Change.WITHHELD if memory.below == -self.resolve_after else None
        return Decision(told, "all clear withheld: the feed is in doubt", memory.open_rank)
