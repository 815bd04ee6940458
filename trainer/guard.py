"""The guard: one bad batch never reaches the weights."""

import math
from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

_REMEMBERED = 101
_LEAST_NORMS = 10
"""Before this many accepted steps there is no running norm to compare with: only non-finite ones are refused."""


class Guard:
    """Judges a step by its loss and gradient norm, before the optimiser sees it.

    Args:
        refuse_above: a gradient norm this many times the running median is refused.
    """

    def __init__(self, refuse_above: float) -> None:
        self._refuse_above = refuse_above
        self._norms: deque[float] = deque(maxlen=_REMEMBERED)

    def state_dict(self) -> dict[str, Any]:
        """What is remembered."""
        return {"norms": list(self._norms)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what another one did."""
        self._norms = deque(state["norms"], maxlen=_REMEMBERED)

    def refuse(self, loss: float, norm: float) -> str | None:
        """Why the step must not be taken; None: take it, and its norm is remembered."""
        if not math.isfinite(loss):
            return "loss is not finite"
        if not math.isfinite(norm):
            return "gradient is not finite"
        if len(self._norms) >= _LEAST_NORMS and norm > self._refuse_above * median(self._norms):
            return f"gradient norm above {self._refuse_above:g} times the running one"
        self._norms.append(norm)
        return None
