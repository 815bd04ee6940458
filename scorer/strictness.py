"""How much stronger evidence must be before a task alerts, by what people said of its alerts.

At the threshold an alarm is as likely worth raising as not: so many false ones come to a true one as a miss costs more
than a false alarm. A task that warns from a probability of 0.3 on has said so itself: 7 to 3. Where people find more
false ones, the odds asked for grow as many times. Those of a state or event task are its probability's; for the learned
score the evidence grows by the logarithm, since the odds that a p-value supports grow about as 1 / p (Sellke, Bayarri
and Berger, 2001). Rules, and what watches the feeds, stay as they are.
"""

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from schemas.alerting import AlertSettings
from schemas.errors import LedgerError
from schemas.layout import Layout
from schemas.protocols import AS_CONFIGURED
from scorer.stages.finding import Kind, kinds_of

_PRIOR = 12.0
"""Verdicts, so many of them false as may be, that are believed in before anybody said a word."""
_SUREST = 0.99
"""A task that asks for more than this may be wrong now and then all the same."""
_LEAST, _MOST = -0.3, 1.0
"""Verdicts can halve the odds asked for, or make them ten times as high: nobody's word silences a monitor."""
_STEPS = 100.0
_log = structlog.get_logger(__name__)


class Verdicts(Protocol):
    """What people said."""

    def judged(self) -> Mapping[str, tuple[int, int]]:
        """Of each task's alerts that were judged lately, how many were true, and how many false."""
        ...


class Strictness:
    """Asked now and then; constant in between, so that the log of swaps can say how rows were judged.

    Args:
        verdicts: what people said.
        tolerated: false alarms to a true one, of each task whose threshold verdicts move.
        monotonic: a clock in seconds.
        every_seconds: how often they are asked.
    """

    def __init__(
        self, verdicts: Verdicts, tolerated: Mapping[str, float], monotonic: Callable[[], float], every_seconds: float
    ) -> None:
        self._verdicts, self._tolerated = verdicts, tolerated
        self._monotonic, self._every_seconds = monotonic, every_seconds
        self._due = float("-inf")
        self._now = AS_CONFIGURED
        self.refresh()

    def now(self) -> Mapping[str, float]:
        """Task -> how much stronger, log10; negative: weaker, absent: 0. Constant between two calls of `refresh`."""
        return self._now

    def refresh(self) -> None:
        """Look for new verdicts, if it is time to."""
        if self._monotonic() < self._due:
            return
        self._due = self._monotonic() + self._every_seconds
        try:
            judged = self._verdicts.judged()
        except LedgerError as error:
            _log.warning("verdicts unreachable, thresholds stay where they are", why=str(error))
            return
        found = {task: strictness(*judged.get(task, (0, 0)), each) for task, each in self._tolerated.items()}
        now = {task: each for task, each in found.items() if each}
        if now != self._now:
            _log.info("verdicts move thresholds", judged=dict(judged), strictness=now, before=dict(self._now))
            self._now = now


def moved_by_verdicts(layout: Layout) -> dict[str, Kind]:
    """Task -> its alerts, of those whose threshold verdicts move: the learned score's, and of state and event tasks."""
    return {kind.task: kind for kind in kinds_of(layout) if kind.rule is None}


def tolerated(kind: Kind, settings: AlertSettings) -> float:
    """False alarms to a true one: of the learned score what a miss costs, of a task what its mildest severity asks."""
    if kind.steered:
        return settings.cost_of(kind.task)
    asked = min(*kind.severities.values(), _SUREST)
    return (1.0 - asked) / asked


def strictness(true: int, false: int, tolerated: float) -> float:
    """Of so many alarms judged true and false, in hundredths: what changes by less is no news.

    >>> strictness(0, 0, 5.0), strictness(0, 10, 5.0), strictness(10, 0, 5.0)
    (0.0, 0.3, -0.3)
    """
    believed = _PRIOR / (1.0 + tolerated)
    found = math.log10((false + tolerated * believed) / (tolerated * (true + believed)))
    return round(min(max(found, _LEAST), _MOST) * _STEPS) / _STEPS
