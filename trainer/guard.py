"""The guard: one bad batch never reaches the weights."""

import math
from collections import deque
from collections.abc import Collection, Mapping
from statistics import median
from typing import Any

from schemas.components import TrainingSettings

_REMEMBERED = 101
_LEAST = 10
"""Before this many accepted steps there is no running norm or loss to compare with: what is finite passes."""
_NARROWEST = 0.05
"""Of the running loss, what its usual deviation counts as at least: a stream that lay still is no measure."""
_USUAL = 1.4826
"""Standard deviations of a normal distribution in one median absolute deviation."""


class Guard:
    """Judges a step by its loss and gradient norm, before the optimiser sees it.

    Spikes of the loss are refused only so often in a row: what goes on is no spike but the new stream, and is learned.

    Args:
        settings: `refuse_above` times the running median norm, or `refuse_spikes` deviations above the running median
            loss, is refused; the latter `refuse_in_a_row` times.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self._settings = settings
        self._norms: deque[float] = deque(maxlen=_REMEMBERED)
        self._losses: dict[str, deque[float]] = {}
        self._spikes = 0
        self.gave_way = False
        """Did the last step pass only because spikes would not end?"""

    def state_dict(self) -> dict[str, Any]:
        """What is remembered."""
        losses = {kind: list(held) for kind, held in self._losses.items()}
        return {"norms": list(self._norms), "losses": losses, "spikes": self._spikes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what another one did."""
        self._norms = deque(state["norms"], maxlen=_REMEMBERED)
        self._losses = {kind: deque(held, maxlen=_REMEMBERED) for kind, held in state["losses"].items()}
        self._spikes = state["spikes"]

    def refuse(self, loss: float, norm: float, kind: str = "") -> str | None:
        """Why the step must not be taken; None: take it, and its loss and norm are remembered.

        Args:
            loss: of all tasks that the step judged.
            norm: of the gradient.
            kind: which those are; losses of one kind are compared with each other.
        """
        self.gave_way = False
        if not math.isfinite(loss):
            return "loss is not finite"
        if not math.isfinite(norm):
            return "gradient is not finite"
        if len(self._norms) >= _LEAST and norm > self._settings.refuse_above * median(self._norms):
            return f"gradient norm above {self._settings.refuse_above:g} times the running one"
        losses = self._losses.setdefault(kind, deque(maxlen=_REMEMBERED))
        spike = self._is_spike(loss, losses)
        if spike and self._spikes < self._settings.refuse_in_a_row:
            self._spikes += 1
            return f"loss {loss:.3g}: a spike above the running {median(losses):.3g}"
        if spike:  # losses from before are no measure any more
            losses.clear()
        self.gave_way, self._spikes = spike, 0
        losses.append(loss)
        self._norms.append(norm)
        return None

    def _is_spike(self, loss: float, losses: Collection[float]) -> bool:
        if len(losses) < _LEAST:
            return False
        usual = median(losses)
        deviation = _USUAL * median(abs(each - usual) for each in losses)
        return loss > usual + self._settings.refuse_spikes * max(deviation, _NARROWEST * abs(usual))
