"""The last good version: pinned at an alarm, and returned to once it is better on the rows after.

Whether a burst or a new stream has begun nobody knows while it lasts. So it is learned, and the weights from before are
judged beside, on the same rows: of a stream that stays new they are the worse ones, after a burst the better ones.

W windows, K tasks.
"""

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from schemas.observation import Float64
from trainer.gate import TOLERANCE, Gate
from trainer.network import Network
from trainer.weights import upgraded

_EVERY = 32
"""Steps at rest from one copy to the next, and until what is pinned is let go."""
_LATE = 16
"""Steps by which an alarm may come late: a copy that is younger is not pinned, but the one before."""
_WINDOWS = 64
"""Windows of a verdict."""
_SURE = 3.0
"""Standard errors to spare: it is looked at after every step."""


class Pinned:
    """Copies of the weights, one of them in use after an alarm.

    Args:
        network: the candidate, whose copies are kept.

    Attributes:
        network: with the pinned weights, while `held`.
    """

    def __init__(self, network: Network) -> None:
        self.network = copy.deepcopy(network)
        self._kept = [copy.deepcopy(network.state_dict())]
        self._steps = 0
        self.held = False
        self._gate = Gate(len(network.layout.tasks), _WINDOWS)

    def count(self, network: Network, *, alarmed: bool, resting: bool) -> None:
        """Another step was taken.

        Args:
            network: the candidate after it.
            alarmed: did an alarm begin with it?
            resting: is nothing done about drift?
        """
        if alarmed and not self.held:
            self._kept = self._kept[-1:] if self._steps >= _LATE else self._kept[:1]
            self.network.load_state_dict(self._kept[0])
            self._gate.clear()
            self.held = True
        self._steps = self._steps + 1 if resting else 0
        if self._steps >= _EVERY:
            copies = 1 if self.held else 2
            self._kept = [*self._kept, copy.deepcopy(network.state_dict())][-copies:]
            self.held, self._steps = False, 0

    def judge(self, pinned_WK: Float64, candidate_WK: Float64) -> None:
        """Losses of both on the same windows, before the candidate learned them. NaN = not judged."""
        self._gate.add(pinned_WK, candidate_WK)

    def better(self) -> dict[str, str]:
        """Task -> by how much it is better beyond doubt; empty where on none, or where it is worse on another."""
        if not self.held or not self._gate.ready():
            return {}
        found = self._gate.verdict()
        if (found.difference_K - found.error_K > TOLERANCE).any():
            return {}
        sure_K = found.difference_K + _SURE * found.error_K < -TOLERANCE
        tasks = zip(self.network.layout.tasks, found.difference_K, sure_K, strict=True)
        return {task.name: f"loss {difference:+.3f} as before the alarm" for task, difference, sure in tasks if sure}

    def weights(self) -> Mapping[str, Tensor]:
        """Those that are pinned. The next verdict is about windows that come after."""
        self._gate.clear()
        return self._kept[0]

    def state_dict(self) -> dict[str, Any]:
        """What is kept, and since when."""
        kept = [dict(weights) for weights in self._kept]
        return {"kept": kept, "steps": self._steps, "held": self.held, "gate": self._gate.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood."""
        self._kept = [upgraded(weights) for weights in state["kept"]]
        self._steps, self.held = state["steps"], state["held"]
        self._gate.load_state_dict(state["gate"])
        self.network.load_state_dict(self._kept[0])
