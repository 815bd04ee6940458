"""Hard rules of a monitor, vectorised over rows. They run whatever the network does.

N rows, S signals, R rules, Q numbers that rules remember.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Protocol

import numpy as np

from schemas.alert import Taken
from schemas.layout import Layout
from schemas.observation import Float64
from schemas.rule import Rule, RuleKind
from trainer import rule_kinds
from trainer.news2 import News2
from trainer.rule_inputs import Known
from trainer.rule_memory import said


class RuleScorer(Protocol):
    """One rule, bound to its columns.

    Attributes:
        lasts: does a score stand until the signal's next value? A level does, a move does not.
    """

    lasts: ClassVar[bool]

    def score(self, known: Known) -> Float64:
        """[N]; NaN where none of its signals was observed."""
        ...

    def taken(self, last_S: Float64, age_S: Float64, remembered_Q: Float64) -> Sequence[tuple[int, Taken]]:
        """What it took of one row, by column."""
        ...


class Rules:
    """All rules of a monitor."""

    def __init__(self, layout: Layout) -> None:
        self._scorers = [_SCORERS[rule.kind](rule, layout) for rule in layout.monitor.rules]
        self._said = said(layout)

    def score(self, known: Known) -> Float64:
        """Each rule's score, [N, R]; NaN where the row carries none of the rule's signals."""
        if not self._scorers:
            return np.empty((len(known.value), 0))
        return np.stack([scorer.score(known) for scorer in self._scorers], axis=1)

    def standing(self, known: Known) -> Float64:
        """The same as of each row, whatever the row carries: what lasts until the next value stands, [N, R]."""
        standing = replace(known, value=known.last)
        if not self._scorers:
            return np.empty((len(known.value), 0))
        return np.stack([each.score(standing if each.lasts else known) for each in self._scorers], axis=1)

    def lasting(self, last_NS: Float64, age_NS: Float64) -> Float64:
        """Scores of the rules that read nothing but last values, whatever the rows carry, [N, R]; NaN of the others."""
        nothing_NS = np.full_like(last_NS, np.nan)
        nothing_NQ = np.full((len(last_NS), self._said), np.nan)
        known = Known(
            value=last_NS,
            last=last_NS,
            age=age_NS,
            change=nothing_NS,
            since=nothing_NS,
            scale=nothing_NS,
            still=nothing_NS,
            average=nothing_NS,
            remembered=nothing_NQ,
        )
        scores = [each.score(known) if each.lasts else nothing_NS[:, 0] for each in self._scorers]
        return np.stack(scores, axis=1) if scores else np.empty((len(last_NS), 0))

    def taken(self, rule: int, last_S: Float64, age_S: Float64, remembered_Q: Float64) -> Sequence[tuple[int, Taken]]:
        """What a rule took of one row that it scored: column and value of each of its signals, as configured.

        Args:
            rule: its column in the scores.
            last_S: last known values, as in `Known`.
            age_S: seconds since they were seen, as in `Known`.
            remembered_Q: as in `Known`.
        """
        return self._scorers[rule].taken(last_S, age_S, remembered_Q)


_SCORERS: Mapping[RuleKind, Callable[[Rule, Layout], RuleScorer]] = {
    RuleKind.NEWS2: News2,
    RuleKind.BAND: rule_kinds.Band,
    RuleKind.RATE: rule_kinds.Rate,
    RuleKind.MOVE: rule_kinds.Move,
    RuleKind.FALL: rule_kinds.Fall,
    RuleKind.RISE: rule_kinds.Rise,
    RuleKind.AVERAGE: rule_kinds.Average,
    RuleKind.VOLATILITY: rule_kinds.Volatility,
    RuleKind.FROZEN: rule_kinds.Frozen,
    RuleKind.MISSING: rule_kinds.Missing,
}
