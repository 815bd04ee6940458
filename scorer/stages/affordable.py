"""A finding is raised if it is worth what an alarm costs now; some rules' are raised whatever the budget says."""

from dataclasses import dataclass

from scorer.stages.finding import Decision, Finding, Memory


@dataclass(frozen=True, slots=True)
class Affordable:
    """Holds back what is worth less than its price."""

    def __call__(self, finding: Finding, memory: Memory) -> Decision | None:  # noqa: ARG002
        """Judge one finding."""
        if finding.always or finding.worth >= finding.price:
            return None
        return Decision(None, HELD_BACK)


HELD_BACK = "not worth its price"
