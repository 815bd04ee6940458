"""Values that stay what they are far longer than is usual for the entity's signal.

An entity's signal is frozen after four times as many equal values as are usual: three periods at the soonest, of one
that has not repeated a value in some 200. Two, three equal values, would be false 0.2 times more an entity-day on the
ward of `tests.bench.silence`, 0.1 on crypto bars: a value that repeats is normal where values are rounded. Of one that
never moved nothing is usual: it is frozen where the same signal moves all the time in most other entities of the
partition, two at least.

n rows of one partition, in order, S signals; state is that of their entities, [E, S].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schemas.observation import Bool, Field, Float64, Int64
from scorer.silence.usual import TRAINED, learn

_USUAL, _TIMES = np.float32(3.0), np.float32(4.0)
"""Equal values in a row that are usual before a signal has shown otherwise, and how often what is usual is frozen."""
_CONSTANT = 32
"""Equal values from the first on that may be frozen; a signal moves all the time if this were frozen twice over."""
_MOST = 2
"""Moving signals to each constant one where the constant ones are frozen."""


@dataclass(frozen=True, slots=True)
class Others:
    """In how many of a partition's entities each signal moves, and in how many it never has, [S]."""

    moving_S: Int64
    constant_S: Int64

    @classmethod
    def of(cls, state: dict[str, Field]) -> "Others":
        """As the state of all the partition's entities has it."""
        return cls(*(flag.sum(axis=0, dtype=np.int64) for flag in _flags(state)))


@dataclass(frozen=True, slots=True)
class Still:
    """What the rows show.

    Attributes:
        frozen_nS: signals that are frozen at each row.
        run_nS: equal values in a row, up to each.
    """

    frozen_nS: Bool
    run_nS: Field

    def at(self, places: Int64) -> "Still":
        """Of some of the rows."""
        return Still(self.frozen_nS[places], self.run_nS[places])


def initial(s: int) -> dict[str, Field]:
    """State of an entity never seen."""
    return {
        "value": np.full((1, s), np.nan),
        "run": np.zeros((1, s), dtype=np.int32),
        "usual_run": np.full((1, s), _USUAL, dtype=np.float32),
        "runs": np.zeros((1, s), dtype=np.int16),
    }


def see(
    state: dict[str, Field], entity: Int64, waves: Sequence[Int64], value_nS: Float64, others: Others
) -> tuple[Still, Others]:
    """See a partition's rows, `state` changed in place; and what the others do after them.

    Args:
        state: of the rows' entities, [E, S].
        entity: of each row, [n].
        waves: the rows, an entity once in each.
        value_nS: NaN where a row lacks the signal.
        others: before the rows.
    """
    frozen_nS, run_nS = np.zeros(value_nS.shape, dtype=np.bool_), np.zeros(value_nS.shape, dtype=np.int32)
    change_2nS = np.zeros((2, *value_nS.shape), dtype=np.int8)
    constant_nS = np.zeros(value_nS.shape, dtype=np.bool_)
    for wave in waves:
        mine = {name: state[name][entity[wave]] for name in ("value", "run", "usual_run", "runs")}
        before = np.stack(_flags(mine)).astype(np.int8)
        frozen_nS[wave] = _see(mine, value_nS[wave])
        after = _flags(mine)
        change_2nS[:, wave] = np.stack(after).astype(np.int8) - before
        constant_nS[wave], run_nS[wave] = after[1] & ~np.isnan(value_nS[wave]), mine["run"]
        for name, each in mine.items():
            state[name][entity[wave]] = each
    moving_nS = others.moving_S + np.cumsum(change_2nS[0], axis=0, dtype=np.int64)
    still_nS = others.constant_S + np.cumsum(change_2nS[1], axis=0, dtype=np.int64)
    frozen_nS |= constant_nS & (moving_nS >= _MOST * still_nS)
    return Still(frozen_nS, run_nS), Others(moving_nS[-1], still_nS[-1])


def _see(state: dict[str, Field], value_nS: Float64) -> Bool:
    """The next value of each entity; which are frozen by what is usual of them. One that never changed is not."""
    present_nS = ~np.isnan(value_nS)
    same_nS = present_nS & (value_nS == state["value"])
    changed_nS = present_nS & ~same_nS
    learn(state["usual_run"], state["runs"], state["run"].astype(np.float32), changed_nS & (state["run"] > 0))
    state["run"] = np.where(changed_nS, 1, state["run"] + same_nS).astype(np.int32)
    state["value"] = np.where(present_nS, value_nS, state["value"])
    frozen_nS: Bool = (state["runs"] >= TRAINED) & (state["run"] >= state["usual_run"] * _TIMES)
    return frozen_nS


def _flags(state: dict[str, Field]) -> tuple[Bool, Bool]:
    """Does a signal move all the time, and has it never moved?"""
    moving = (state["runs"] >= TRAINED) & (state["usual_run"] * _TIMES * 2 <= _CONSTANT)
    return moving, (state["runs"] == 0) & (state["run"] >= _CONSTANT)
