"""An entity that has shown few rows has no tail to be judged by; rules and tasks need none and pass."""

from dataclasses import dataclass

from scorer.stages.finding import Decision, Finding, Memory


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Holds learned scores back for an entity's first `rows` rows."""

    rows: int

    def __call__(self, finding: Finding, memory: Memory) -> Decision | None:  # noqa: ARG002
        """Judge one finding."""
        if not finding.steered or finding.row_number >= self.rows:
            return None
        return Decision(None, "warming up")
