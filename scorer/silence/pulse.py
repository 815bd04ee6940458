"""How often each signal of an entity comes, and from when on it is overdue.

n rows of distinct entities, S signals; state is gathered, [n, S].
"""

from dataclasses import dataclass

import numpy as np

from schemas.observation import Bool, Field, Float64, Int64
from scorer.silence.usual import TRAINED, learn

NEVER, FAR = np.iinfo(np.int64).min, np.iinfo(np.int64).max
State = dict[str, Field]


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
            "gaps": np.zeros((1, s), dtype=np.int16),
        }

    def due_ms(self, state: State) -> Int64:
        """From when on each signal is overdue, `FAR` where nothing is known of its period, [n, S]."""
        known_nS = (state["seen_ms"] != NEVER) & ((state["gaps"] >= TRAINED) | np.isfinite(self.declared_ms))
        period_nS = np.where(np.isfinite(self.declared_ms), self.declared_ms, state["period_ms"].astype(np.float64))
        waited_nS = np.floor(period_nS * self.after).astype(np.int64)
        return np.where(known_nS, np.where(known_nS, state["seen_ms"], 0) + waited_nS, FAR)

    def see(self, state: State, time_n: Int64, present_nS: Bool) -> None:
        """Values came; gaps are learned from."""
        known_nS = present_nS & (state["seen_ms"] != NEVER)
        gap_nS = (time_n[:, None] - np.where(known_nS, state["seen_ms"], time_n[:, None])).astype(np.float32)
        learn(state["period_ms"], state["gaps"], gap_nS, known_nS & (gap_nS > 0))
        state["seen_ms"] = np.where(present_nS, time_n[:, None], state["seen_ms"])
