"""The guard: one bad batch never reaches the weights."""

import math
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
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
    So are steep gradients, once there were as many in a row as norms are remembered: they are clipped, too. A row is of
    steps that judge the same tasks: labels have steps of their own, between others that are as calm as ever.

    Args:
        settings: `refuse_above` times the running median norm, or `refuse_spikes` deviations above the running median
            loss, is refused; the latter `refuse_in_a_row` times.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self._settings = settings
        self._norms: deque[float] = deque(maxlen=_REMEMBERED)
        self._losses: dict[str, deque[float]] = {}
        self._spikes: Counter[str] = Counter()
        self._steep: Counter[str] = Counter()
        self.gave_way = False
        """Did the last step pass only because spikes, or steep gradients, would not end?"""

    def state_dict(self) -> dict[str, Any]:
        """What is remembered."""
        losses = {task: list(held) for task, held in self._losses.items()}
        return {"norms": list(self._norms), "losses": losses, "spikes": dict(self._spikes), "steep": dict(self._steep)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what another one did."""
        self._norms = deque(state["norms"], maxlen=_REMEMBERED)
        self._losses = {task: deque(held, maxlen=_REMEMBERED) for task, held in state["losses"].items()}
        rows = (state.get(name) for name in ("spikes", "steep"))  # numbers of all steps, before each kind had its own
        self._spikes, self._steep = (Counter(found if isinstance(found, dict) else {}) for found in rows)

    def refuse(self, losses: Mapping[str, float], norm: float) -> str | None:
        """Why the step must not be taken; None: take it, and its losses and norm are remembered.

        Args:
            losses: of each task that the step judged; each is held against its own past, as not every step judges all.
            norm: of the gradient.
        """
        self.gave_way, kind = False, " ".join(sorted(losses))
        if not all(map(math.isfinite, losses.values())):
            return "loss is not finite"
        if not math.isfinite(norm):
            return "gradient is not finite"
        steep = len(self._norms) >= _LEAST and norm > self._settings.refuse_above * median(self._norms)
        self._steep[kind] = self._steep[kind] + 1 if steep else 0
        if steep and self._steep[kind] <= _REMEMBERED:
            return f"gradient norm above {self._settings.refuse_above:g} times the running one"
        if steep:  # norms from before are no measure any more
            self._norms.clear()
        spike = self._spike(losses)
        if spike is not None and self._spikes[kind] < self._settings.refuse_in_a_row:
            self._spikes[kind] += 1
            return spike
        if spike is not None:  # losses from before are no measure any more
            for task in losses:
                self._losses.pop(task, None)
        self.gave_way, self._spikes[kind] = steep or spike is not None, 0
        for task, loss in losses.items():
            self._losses.setdefault(task, deque(maxlen=_REMEMBERED)).append(loss)
        self._norms.append(norm)
        return None

    def _spike(self, losses: Mapping[str, float]) -> str | None:
        """Of the losses that have a past, taken together, in words."""
        known = [task for task in losses if len(self._losses.get(task, ())) >= _LEAST]
        loss, usual = (sum(each[task] for task in known) for each in (losses, self._usual(known)))
        deviation = _USUAL * sum(_absolute_deviation(self._losses[task]) for task in known)
        if loss <= usual + self._settings.refuse_spikes * max(deviation, _NARROWEST * abs(usual)):
            return None
        return f"loss {loss:.3g}: a spike above the running {usual:.3g}"

    def _usual(self, tasks: Sequence[str]) -> dict[str, float]:
        return {task: median(self._losses[task]) for task in tasks}


def _absolute_deviation(losses: Collection[float]) -> float:
    """The median one, from the median."""
    usual = median(losses)
    return median(abs(each - usual) for each in losses)
