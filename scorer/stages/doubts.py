"""Which findings are in doubt: those about a signal of which an alert says that its feed is failing.

What a rule reads is known, and so is what a state task forewarns of by a rule; an alert of the learned score is about
the signals that brought most of its evidence. Any other task may hang on all of the entity's signals.

N rows, S target signals, K kinds of alert.
"""

import numpy as np

from schemas.layout import Layout
from schemas.observation import Bool
from schemas.prediction import Predictions
from scorer.stages.finding import Kind, kinds_of
from scorer.store import Store

_ABOUT = "silence.about"
_MOST = 0.5
"""Of the evidence of an alert's strangest signal: another one with as much is what it is about, too."""


class Doubts:
    """Knows what alerts are about.

    Args:
        layout: whose kinds of alert are asked for.
        store: where it is remembered what an open alert of the learned score is about (field ``silence.about``).
    """

    def __init__(self, layout: Layout, store: Store) -> None:
        self._store = store
        self._about_KS = np.stack([_about(layout, kind) for kind in kinds_of(layout)])

    def possible(self, column: int, doubted_NS: Bool) -> Bool:
        """Rows at which a finding of the kind may be in doubt, [N]."""
        possible_N: Bool = (doubted_NS & self._about_KS[column]).any(axis=1)
        return possible_N

    def doubted(self, column: int, doubted_S: Bool, slot: int) -> bool:
        """Is a signal in doubt that an open alert of the entity is about?"""
        about_S = self._about_KS[column]
        if column == 0:
            about_S = self._store.field(_ABOUT)[slot]
        return bool((about_S & doubted_S).any())

    def note(self, column: int, predictions: Predictions, row: int) -> None:
        """An alert was raised at a row."""
        if column == 0:
            evidence_S = predictions.evidence[row]
            self._store.field(_ABOUT)[predictions.slot[row]] = (evidence_S > 0) & (
                evidence_S >= _MOST * evidence_S.max()
            )


def _about(layout: Layout, kind: Kind) -> Bool:
    """Signals that alerts of a kind may be about, [S]."""
    rules = {rule.name: rule.signals for rule in layout.monitor.rules}
    target = None if kind.choice is None else layout.choices[kind.choice].target
    read = rules[kind.task] if kind.rule is not None else layout.names if target is None else rules[target.rule]
    return np.isin(layout.names[: layout.n_targets], read)
