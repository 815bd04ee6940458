"""How much stronger evidence must be before the learned score alerts, by what people said of its alerts.

At the threshold an alarm is as likely worth raising as not: so many false ones come to a true one as a miss costs more
than a false alarm. Where people find more false ones, the evidence asked for grows by the logarithm of how many times
more, for the odds that a p-value supports grow about as 1 / p (Sellke, Bayarri and Berger, 2001).
"""

import math
from collections.abc import Callable
from typing import Protocol

import structlog

from schemas.errors import LedgerError

_PRIOR = 2.0
"""True alarms, and as many false ones as are worth them, that are believed in before anybody said a word."""
_LEAST, _MOST = -0.3, 1.0
"""Verdicts can double the alarms, or leave one in ten: nobody's word silences a monitor."""
_STEPS = 100.0
_log = structlog.get_logger(__name__)


class Verdicts(Protocol):
    """What people said."""

    def judged(self) -> tuple[int, int]:
        """Of the learned score's alerts that were judged lately, how many were true, and how many false."""
        ...


class Strictness:
    """Asked now and then; constant in between, so that the log of swaps can say how rows were judged.

    Args:
        verdicts: what people said.
        cost_of_miss: where a false alarm costs 1.
        monotonic: a clock in seconds.
        every_seconds: how often they are asked.
    """

    def __init__(
        self, verdicts: Verdicts, cost_of_miss: float, monotonic: Callable[[], float], every_seconds: float
    ) -> None:
        self._verdicts, self._cost = verdicts, cost_of_miss
        self._monotonic, self._every_seconds = monotonic, every_seconds
        self._due = float("-inf")
        self._now = 0.0
        self.refresh()

    def now(self) -> float:
        """How much stronger, -log10 p; negative: weaker. Constant between two calls of `refresh`."""
        return self._now

    def refresh(self) -> None:
        """Look for new verdicts, if it is time to."""
        if self._monotonic() < self._due:
            return
        self._due = self._monotonic() + self._every_seconds
        try:
            true, false = self._verdicts.judged()
        except LedgerError as error:
            _log.warning("verdicts unreachable, the threshold stays where it is", why=str(error))
            return
        found = strictness(true, false, self._cost)
        if found != self._now:
            _log.info("verdicts move the threshold", true=true, false=false, strictness=found, before=self._now)
            self._now = found


def strictness(true: int, false: int, cost_of_miss: float) -> float:
    """Of so many alarms judged true and false, in hundredths: what changes by less is no news.

    >>> strictness(0, 0, 5.0), strictness(0, 10, 5.0), strictness(10, 0, 5.0)
    (0.0, 0.3, -0.3)
    """
    expected = cost_of_miss * (true + _PRIOR)
    found = math.log10((false + cost_of_miss * _PRIOR) / expected)
    return round(min(max(found, _LEAST), _MOST) * _STEPS) / _STEPS
