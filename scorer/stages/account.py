"""An account: alarms counted against a rate, and the price that this asks of the next one.

A price is on the scale of worth, log10. It rises by a step with each alarm and falls, as what the rate is counted over
passes (milliseconds or rows), by as much as the alarms that the rate allows would raise it: online gradient descent on
the quantile, in event time (Gibbs and Candes, 2021, equation 2; Angelopoulos, Candes and Tibshirani, 2023, "Conformal
PID control", section 2.2). Steps begin large and shrink to `_STEP`, a fast start (Angelopoulos, Barber and Bates,
2024), and what is owed so far, alarms minus allowed, is added with a bound (their integrator, section 2.3).

Between alarms a price is a function of integers, so that it does not matter which rows were looked at.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.observation import Field, Float64, Int64

LOWEST, HIGHEST = -1.5, 12.0
_STEP, _FIRST_STEP = 0.1, 0.4
_OWED, _MOST_OWED = 0.02, 0.4
"""What one alarm too many adds to the price, and the most that all of them do."""
_FAIR_STEP = 0.15
"""By how much an entity's alarm raises its own price above everybody's."""
NEVER = np.iinfo(np.int64).min


@dataclass(slots=True)
class Account:
    """Alarms against a rate.

    Attributes:
        price: when the last alarm had been paid.
        at: how far the count stood then.
        alarms: so far.
        since: where the count began; `NEVER`: it has not.
        now: how far the count stands.
        always: alarms among them that no price could hold back.

    With a constant step s, alarms minus allowed is (price - first price) / s while the price is within its bounds: the
    rate's error after a time T is at most (HIGHEST - LOWEST + s) / (s T), whatever the stream does, but for alarms
    that are always raised and a threshold at its end. The shrinking first steps add a constant.
    """

    price: float = 0.0
    at: int = 0
    alarms: int = 0
    since: int = NEVER
    now: int = 0
    always: int = 0

    def begin(self, now: int) -> None:
        """Count from here on, if it has not begun."""
        if self.since == NEVER:
            self.since = self.at = self.now = now

    def prices(self, rate: float, now_N: Int64) -> Float64:
        """What an alarm costs as the count goes on without one, [N]. More alarms only make it dearer."""
        fallen_N = np.maximum(self.price - _step(self.alarms) * rate * (now_N - self.at), LOWEST)
        owed_N = np.clip(_OWED * (self.alarms - rate * (now_N - self.since)), -_MOST_OWED, _MOST_OWED)
        priced_N: Float64 = fallen_N + owed_N
        return priced_N

    def pay(self, rate: float, now: int, *, always: bool = False) -> None:
        """An alarm."""
        step = _step(self.alarms)
        self.price = min(max(self.price - step * rate * (now - self.at), LOWEST) + step, HIGHEST)
        self.at, self.alarms, self.always = now, self.alarms + 1, self.always + always


def _step(alarms: int) -> float:
    return max(_STEP, _FIRST_STEP / float(np.sqrt(1.0 + alarms)))


def own_prices(price_N: Field, at_N: Field, rate: float, now_N: Int64) -> Float64:
    """By how much an entity's own alarms raise its price, [N]: nobody takes what all the others might need."""
    fallen_N: Float64 = price_N - _FAIR_STEP * rate * (now_N - at_N)
    return np.maximum(fallen_N, 0.0)


def own_raised(price: float, at: int, rate: float, now: int) -> float:
    """The same after one alarm more."""
    return min(float(own_prices(np.array(price), np.array(at), rate, np.array(now))) + _FAIR_STEP, HIGHEST)


ACCOUNT_FIELDS: dict[str, tuple[type[np.generic], int]] = {
    "price": (np.float64, 0),
    "at": (np.int64, 0),
    "alarms": (np.int64, 0),
    "since": (np.int64, NEVER),
    "now": (np.int64, 0),
    "always": (np.int64, 0),
}
"""Name -> type and value of an account that has not begun."""


def initial_account() -> dict[str, NDArray[np.generic]]:
    """State of an entity never seen: field ``budget.<name>``, [1]."""
    return {f"budget.{name}": np.full((1,), value, dtype=dtype) for name, (dtype, value) in ACCOUNT_FIELDS.items()}
