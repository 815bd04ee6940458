"""A version scored in the shadow of another one: what both were worth on the same rows, as sums that add up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.alert import Alert

Sums = Mapping[str, tuple[float, ...]]
"""A question is a state task, or the forecast at one horizon (`forecast.h6`).

`<question>.loss`: n, sum of the champion's, of the challenger's, of their squared difference. Of a horizon
`<question>.coverage`: n, how many values the champion's outer band held, how many the challenger's. Of a state
`<task>.champion` and `<task>.challenger`: of each tenth of probability the count, the sum of probabilities, and how
often it came true.
"""


class Role(StrEnum):
    """Why a version is scored beside the one that serves: to be promoted, or as the last one that was confirmed."""

    TRIAL = "trial"
    WATCH = "watch"


class Outcome(StrEnum):
    """What became of it. `overtaken`: another version came to serve meanwhile."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    KEPT = "kept"
    ROLLED_BACK = "rolled back"
    OVERTAKEN = "overtaken"


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over rows."""

    rows: int = 0
    sums: Sums = field(default_factory=dict)

    def __add__(self, other: "Tally") -> "Tally":
        """Both."""
        names = [*self.sums, *(name for name in other.sums if name not in self.sums)]
        return Tally(self.rows + other.rows, {name: _added(self.sums, other.sums, name) for name in names})


@dataclass(frozen=True, slots=True)
class ShadowStep:
    """What one partition's rows of one commit add to a shadow: they are written with the offsets, or not at all."""

    shadow: int
    tally: Tally
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class Shadow:
    """One that runs.

    Attributes:
        id: its number.
        champion: the version that serves.
        challenger: the version scored beside it.
        role: why.
        rows: how many rows it takes.
        tally: of all partitions so far.
        earlier: of a watch its parts before the trials that interrupted it, the newest first: those of the champion
            itself, and of its forerunners back to the last version that was confirmed, which is the challenger of all.
    """

    id: int
    champion: int
    challenger: int
    role: Role
    rows: int
    tally: Tally
    earlier: "tuple[Shadow, ...]" = ()


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a shadow ends, and why."""

    outcome: Outcome
    why: str


def _added(one: Sums, other: Sums, name: str) -> tuple[float, ...]:
    mine, others = one.get(name), other.get(name)
    if mine is None or others is None:
        return mine or others or ()
    return tuple(a + b for a, b in zip(mine, others, strict=True))
