"""Rules of one signal, or of several that are judged alike, each bound to its columns.

N rows, S signals, Q numbers that rules remember.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from schemas.alert import Taken
from schemas.layout import Layout
from schemas.observation import Float64
from schemas.rule import Rule, seconds
from trainer.rule_inputs import Known, taken
from trainer.rule_memory import places


class OneSignal(ABC):
    """Reads one signal, and says nothing of a row that lacks it."""

    lasts: ClassVar[bool] = False

    def __init__(self, rule: Rule, layout: Layout) -> None:
        self._rule, self._column = rule, layout.index[rule.signals[0]]
        self._logarithmic = layout.logarithmic[self._column]
        self._place = places(layout).get(rule.name, 0)

    def score(self, known: Known) -> Float64:
        """[N]; NaN where the signal was not observed."""
        return np.where(np.isnan(known.value[:, self._column]), np.nan, self._score(known))

    def taken(self, last_S: Float64, age_S: Float64, remembered_Q: Float64) -> Sequence[tuple[int, Taken]]:  # noqa: ARG002
        """The row's own value."""
        return [(self._column, taken(last_S[self._column], age_S[self._column]))]

    @abstractmethod
    def _score(self, known: Known) -> Float64:
        """[N], whatever stands where the row lacks the signal."""

    def _size(self, change: Float64) -> Float64:
        """Of a change in model scale, signed: in percent where a logarithm is modelled, else in the signal's unit."""
        return 100.0 * np.expm1(change) if self._logarithmic else change

    def _outside(self, value: Float64) -> Float64:
        """Distance from the rule's [low, high]; on the bound is inside."""
        low, high = self._rule.bounds
        return np.maximum(np.maximum(low - value, value - high), 0.0)


class Band(OneSignal):
    """How far a value lies outside [low, high], raw units."""

    lasts: ClassVar[bool] = True

    def _score(self, known: Known) -> Float64:
        return self._outside(known.value[:, self._column])


class Rate(OneSignal):
    """How far the change over the last `per` lies outside [low, high]; of a shorter life, that since the first value.

    An alert shows both values that it is between.
    """

    def taken(self, last_S: Float64, age_S: Float64, remembered_Q: Float64) -> Sequence[tuple[int, Taken]]:
        """The row's own value, and what it was then."""
        then, ago = remembered_Q[self._place : self._place + 2].tolist()
        before = taken(float(np.exp(then)) if self._logarithmic else then, ago)
        return [*super().taken(last_S, age_S, remembered_Q), (self._column, before)]

    def _score(self, known: Known) -> Float64:
        now, then = known.last[:, self._column], known.remembered[:, self._place]
        return self._outside(self._size((np.log(now) if self._logarithmic else now) - then))


class Jump(OneSignal):
    """Reads the change from the value before: of the first value, and of one that comes too soon after, it is none."""

    def _score(self, known: Known) -> Float64:
        change = np.nan_to_num(known.change[:, self._column], nan=0.0)
        size = self._of(change, known.scale[:, self._column])
        return np.where(known.since[:, self._column] >= seconds(self._rule.after), np.maximum(size, 0.0), 0.0)

    @abstractmethod
    def _of(self, change: Float64, scale: Float64) -> Float64:
        """Of changes and of typical ones, model scale, [N] each."""


class Move(Jump):
    """|change| over the entity's typical one, both in model scale: with `after` a gap, in typical changes."""

    def _of(self, change: Float64, scale: Float64) -> Float64:
        return np.abs(change) / scale


class Fall(Jump):
    """How far a value lies below the one before, in percent or in its unit: with `after` a gap downwards.

    Not in typical changes: those follow the volatility, so that in a crisis every fall is soon a usual one.
    """

    def _of(self, change: Float64, scale: Float64) -> Float64:  # noqa: ARG002
        return -self._size(change)


class Rise(Jump):
    """How far a value lies above the one before, in percent or in its unit: with `after` a gap upwards."""

    def _of(self, change: Float64, scale: Float64) -> Float64:  # noqa: ARG002
        return self._size(change)


class Average(OneSignal):
    """What is usual of late: the mean of about the last four values, geometric where a logarithm is modelled."""

    lasts: ClassVar[bool] = True

    def _score(self, known: Known) -> Float64:
        mean = known.average[:, self._column]
        return np.exp(mean) if self._logarithmic else mean


class Volatility(OneSignal):
    """How far recent volatility, in multiples of the usual one, lies outside [low, high]; without bounds the multiple.

    Before anything moved it is the usual one.
    """

    def _score(self, known: Known) -> Float64:
        multiple = np.nan_to_num(known.remembered[:, self._place], nan=1.0)
        return multiple if self._rule.low is None and self._rule.high is None else self._outside(multiple)


class Missing(OneSignal):
    """How long the signal did not come, in multiples of `for`; of one never seen, since the entity's first row."""

    def score(self, known: Known) -> Float64:
        """[N], at every row: that it lacks the signal is what is judged."""
        return self._score(known)

    def _score(self, known: Known) -> Float64:
        waited: Float64 = np.minimum(known.age[:, self._column], known.remembered[:, self._place])
        return waited * (1.0 / seconds(self._rule.lasting))


class Frozen:
    """How long all of the rule's signals have been what they are, in multiples of what it waits for."""

    lasts: ClassVar[bool] = True

    def __init__(self, rule: Rule, layout: Layout) -> None:
        self._columns = [layout.index[name] for name in rule.signals]
        self._place = places(layout).get(rule.name)
        self._per_unit = 1.0 / (rule.rows or seconds(rule.lasting))

    def score(self, known: Known) -> Float64:
        """[N]. In rows, repetitions of each that carries one of them; in time, at every row once one was seen.

        Of several it is the liveliest that counts. In time, a signal that does not come stands still too.
        """
        if self._place is not None:
            since: Float64 = known.remembered[:, self._place] * self._per_unit
            return np.where(np.isinf(since), np.nan, since)
        still: Float64 = known.still[:, self._columns].min(axis=1) * self._per_unit
        return np.where(np.isnan(known.value[:, self._columns]).all(axis=1), np.nan, still)

    def taken(self, last_S: Float64, age_S: Float64, remembered_Q: Float64) -> Sequence[tuple[int, Taken]]:  # noqa: ARG002
        """The values that stand still."""
        return [(column, taken(last_S[column], age_S[column])) for column in self._columns]
