"""Values that stay what they are far longer than is usual for the entity's signal.

n rows of distinct entities, S signals; state is gathered, [n, S].
"""

import numpy as np

from schemas.observation import Bool, Field, Float64
from scorer.silence.usual import TRAINED, learn

_LEAST, _TIMES = 12, np.float32(4.0)
"""Equal values in a row, and how often what is usual, before a signal is frozen."""


def initial(s: int) -> dict[str, Field]:
    """State of an entity never seen."""
    return {
        "value": np.full((1, s), np.nan),
        "run": np.zeros((1, s), dtype=np.int32),
        "usual_run": np.zeros((1, s), dtype=np.float32),
        "runs": np.zeros((1, s), dtype=np.int16),
    }


def frozen(state: dict[str, Field], value_nS: Float64, present_nS: Bool) -> Bool:
    """See the values; which signals are frozen now, [n, S]. One that never changed is not: that may be its nature."""
    same_nS = present_nS & (value_nS == state["value"])
    changed_nS = present_nS & ~same_nS
    learn(state["usual_run"], state["runs"], state["run"].astype(np.float32), changed_nS & (state["run"] > 0))
    state["run"] = np.where(changed_nS, 1, state["run"] + same_nS).astype(np.int32)
    state["value"] = np.where(present_nS, value_nS, state["value"])
    limit_nS = np.maximum(state["usual_run"] * _TIMES, np.float32(_LEAST))
    frozen_nS: Bool = (state["runs"] >= TRAINED) & (state["run"] >= limit_nS)
    return frozen_nS
