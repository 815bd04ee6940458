"""The last good version: pinned at an alarm, and returned to once it is better on the rows after.

Whether a burst or a new stream has begun nobody knows while it lasts. So it is learned, and the weights from before are
judged beside, on the same rows: of a stream that stays new they are the worse ones, after a burst the better ones.

W windows, K tasks.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from schemas.observation import Float64, Partition, Ranges
from trainer.gate import TOLERANCE, Gate
from trainer.lesson import merged
from trainer.network import Network
from trainer.weights import upgraded

_EVERY = 32
"""Steps at rest from one copy to the next, and until what is pinned is let go."""
_LATE = 16
"""Steps by which an alarm may come late: where there is an older copy, one that is younger is not pinned."""
_WINDOWS = 64
"""Windows of a verdict."""
_SURE = 3.0
"""Standard errors to spare: it is looked at after every step."""


@dataclass(slots=True)
class _Copy:
    """Weights after so many steps, and the offsets that this rank has learned from since: others tell their own."""

    weights: dict[str, Tensor]
    at: int
    since: dict[Partition, tuple[int, int]] = field(default_factory=dict)


class Pinned:
    """Copies of the weights, one of them in use after an alarm.

    Args:
        network: the candidate, whose copies are kept.

    Attributes:
        network: with the pinned weights, while `held`.
    """

    def __init__(self, network: Network) -> None:
        self.network = copy.deepcopy(network)
        self._kept = [_Copy(copy.deepcopy(network.state_dict()), 0)]
        self._counted = self._rested = 0
        self.held = False
        self._gate = Gate(len(network.layout.tasks), _WINDOWS)

    def count(self, network: Network, ranges: Ranges, *, alarmed: bool, resting: bool) -> None:
        """Another step was taken.

        Args:
            network: the candidate after it.
            ranges: offsets that it learned from.
            alarmed: did an alarm begin with it?
            resting: is nothing done about drift?
        """
        self._counted += 1
        for each in self._kept:
            each.since = merged(each.since, ranges)
        if alarmed and not self.held:
            self._kept = self._kept[-1:] if self._rested >= _LATE else self._kept[:1]
            self.network.load_state_dict(self._kept[0].weights)
            self.judge_anew()
            self.held = True
        self._rest(network, resting=resting)

    def _rest(self, network: Network, *, resting: bool) -> None:
        """Copies are taken at rest. When what is pinned is let go, there is one that is old enough to follow it."""
        self._rested = self._rested + 1 if resting else 0
        if self.held and not self._rested:
            del self._kept[1:]
        if self._rested >= _EVERY or (self.held and self._rested == _LATE):
            self._kept.append(_Copy(copy.deepcopy(network.state_dict()), self._counted))
        if self._rested >= _EVERY:
            self._kept = self._kept[-2:]
            self.held, self._rested = False, 0

    def judge(self, pinned_WK: Float64, candidate_WK: Float64) -> None:
        """Losses of both on the same windows, before the candidate learned them. NaN = not judged."""
        self._gate.add(pinned_WK, candidate_WK)

    def judge_anew(self) -> None:
        """The candidate is another one: what it lost until now says nothing any more."""
        self._gate.clear()

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

    def given_back(self) -> tuple[Mapping[str, Tensor], Ranges]:
        """The weights that are pinned, and what was learned since in vain; judged next is what comes after."""
        self.judge_anew()
        del self._kept[1:]
        (pinned,) = self._kept
        unlearned, pinned.since = pinned.since, {}
        return pinned.weights, unlearned

    def since_of(self, partition: Partition) -> list[tuple[int, int, int]]:
        """Offsets, [first, next), learned from a partition since each copy: [when it was made, first, next]."""
        return [(each.at, *each.since[partition]) for each in self._kept if partition in each.since]

    def add_since(self, partition: Partition, since: Sequence[tuple[int, int, int]]) -> None:
        """What another one learned from it, of the copies that are the same."""
        copies = {each.at: each for each in self._kept}
        for at, first, after in since:
            if at in copies:
                copies[at].since = merged(copies[at].since, {partition: (first, after)})

    def state_dict(self) -> dict[str, Any]:
        """What all ranks hold alike: offsets go with their partitions, see `since_of`."""
        kept = [(each.at, dict(each.weights)) for each in self._kept]
        counts = {"counted": self._counted, "rested": self._rested}
        return {"kept": kept, "held": self.held, "gate": self._gate.state_dict()} | counts

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood."""
        kept = state["kept"] if "counted" in state else list(enumerate(state["kept"]))  # before copies had numbers
        self._kept = [_Copy(upgraded(weights, self.network), at) for at, weights in kept]
        self._counted, self._rested = state.get("counted", len(kept)), state.get("rested", 0)
        self.held = state["held"]
        self._gate.load_state_dict(state["gate"])
        self.network.load_state_dict(self._kept[0].weights)
