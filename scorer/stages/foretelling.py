"""A state is foretold before it stands. Once it does its rule tells of it, and an alert would be no news.

N rows, R rules.
"""

from collections.abc import Callable
from dataclasses import dataclass

from schemas.layout import Layout
from schemas.observation import Bool, Float64
from scorer.stages.finding import Decision, Finding, Kind, Memory


@dataclass(frozen=True, slots=True)
class Foretelling:
    """Neither opens nor raises an alert about what stands already; one that foretold it stays open."""

    def __call__(self, finding: Finding, memory: Memory) -> Decision | None:  # noqa: ARG002
        """Judge one finding."""
        return Decision(None, "stands already") if finding.stands else None


def standing_of(layout: Layout, kind: Kind) -> Callable[[Float64], Bool] | None:
    """Of each row: does what a state warns of stand, by the rule's score [N, R] -> [N]? None: no rule says so."""
    target = None if kind.choice is None else layout.choices[kind.choice].target
    if kind.choice is None or target is None:
        return None
    column = [rule.name for rule in layout.monitor.rules].index(target.rule)
    cut = target.cuts[layout.choices[kind.choice].warns_from - 1]
    return lambda score_NR: score_NR[:, column] >= cut
