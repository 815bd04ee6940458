"""How often each signal of an entity comes, and from when on it is overdue.

A regular feed is overdue after so many of its periods. Of one that comes irregularly, as charted by hand or now and
then left out, the longest usual gap says less of the next one: it is given more time, by how far that lies above the
mean. A signal with a declared period is awaited from the entity's first row on, though it may never have come.

n rows of distinct entities, S signals; state is gathered, [n, S].
"""

from dataclasses import dataclass

import numpy as np

from schemas.observation import Bool, Field, Float64, Int64
from scorer.silence.clocks import FAR, NEVER
from scorer.silence.usual import TRAINED, learn

State = dict[str, Field]


_SPAN = np.float32(32.0)
_REGULAR, _PATIENCE = np.float32(1.5), np.float32(2.0)
"""Longest usual gap of a regular feed, in mean ones, and by how many times what lies above it others are waited for."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Periods of one layout's signals.

    Attributes:
        declared_ms: of each signal; NaN: it is learned, [S].
        after: periods without a value after which a signal is overdue.
    """

    declared_ms: Float64
    after: float

    def initial(self) -> State:
        """State of an entity never seen."""
        s = len(self.declared_ms)
        return {
            "seen_ms": np.full((1, s), NEVER, dtype=np.int64),
            "period_ms": np.zeros((1, s), dtype=np.float32),
            "gap_ms": np.zeros((1, s), dtype=np.float32),
            "gaps": np.zeros((1, s), dtype=np.int16),
        }

    def due_ms(self, state: State) -> Int64:
        """From when on each signal is overdue, `FAR` where nothing is known of its period, [n, S]."""
        known_nS = (state["seen_ms"] != NEVER) & ((state["gaps"] >= TRAINED) | np.isfinite(self.declared_ms))
        irregular_nS = np.maximum(state["period_ms"] - _REGULAR * state["gap_ms"], np.float32(0.0)) * _PATIENCE
        learned_nS = state["period_ms"].astype(np.float64) * self.after + irregular_nS
        declared_nS = np.where(np.isfinite(self.declared_ms), self.declared_ms * self.after, learned_nS)
        waited_nS = np.floor(declared_nS).astype(np.int64)
        return np.where(known_nS, np.where(known_nS, state["seen_ms"], 0) + waited_nS, FAR)

    def see(self, state: State, time_n: Int64, present_nS: Bool) -> None:
        """Rows came, and with them values; gaps are learned from."""
        known_nS = present_nS & (state["seen_ms"] != NEVER)
        gap_nS = (time_n[:, None] - np.where(known_nS, state["seen_ms"], time_n[:, None])).astype(np.float32)
        told_nS = known_nS & (gap_nS > 0)
        learn(state["period_ms"], state["gaps"], gap_nS, told_nS)
        rate_nS = np.maximum(np.float32(1.0) / np.maximum(state["gaps"], 1).astype(np.float32), np.float32(1.0) / _SPAN)
        state["gap_ms"] = state["gap_ms"] + rate_nS * told_nS * (gap_nS - state["gap_ms"])
        awaited_nS = np.isfinite(self.declared_ms) & (state["seen_ms"] == NEVER)
        state["seen_ms"] = np.where(present_nS | awaited_nS, time_n[:, None], state["seen_ms"])
