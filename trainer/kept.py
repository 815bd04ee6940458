"""What a rank keeps of the windows that come by: some to be learned again, a few never to be learned."""

from collections.abc import Iterable, Sequence

import numpy as np

from schemas.components import TrainingSettings
from schemas.observation import Partition
from trainer.past import Past, Reservoir
from trainer.slots import Slots
from trainer.windows import Window

_CANARIES, _REPLAYED = 1.0 / 32.0, 1.0 / 8.0
"""Shares of the windows that start at a state that is known."""
_SIFTING, _DRAWING = 1, 2


class Kept:
    """Two reservoirs. What is drawn depends on seed, rank and step alone.

    Args:
        settings: how many of each.
        seed: of all draws.
        rank: whose windows these are.
    """

    def __init__(self, settings: TrainingSettings, seed: int, rank: int) -> None:
        drift = settings.drift
        self._key = (seed, rank)
        self.replay = Reservoir(drift.replay_windows if drift.detector != "off" else 0)
        self.canary = Reservoir(settings.canary.windows)

    def sift(self, windows: Sequence[Window], slots: Slots, regime: int, step: int) -> list[Window]:
        """Take some of a step's windows in. Returns those to learn: all but the canaries, and at least one."""
        firsts = list({window.slot: window for window in reversed(windows)}.values())
        rng = self._rng(_SIFTING, step)
        share = rng.random(len(firsts))
        statistics = slots.gather(["statistics"], np.array([each.slot for each in firsts], dtype=np.int64))[
            "statistics"
        ]
        past = [Past(*each, regime) for each in zip(firsts, statistics, strict=True)]
        room = len(windows) - 1 if self.canary.capacity else 0
        canaries = [each for each, drawn in zip(past, share, strict=True) if drawn < _CANARIES][:room]
        self.canary.add(canaries, rng)
        self.replay.add((each for each, drawn in zip(past, share, strict=True) if drawn >= 1.0 - _REPLAYED), rng)
        never = {id(each.window) for each in canaries}
        return [window for window in windows if id(window) not in never]

    def draw(self, n: int, step: int) -> tuple[list[Past], np.random.Generator]:
        """At most so many to learn again, and what their faults are drawn from."""
        rng = self._rng(_DRAWING, step)
        return self.replay.draw(n, rng), rng

    def of(self, partition: Partition) -> list[tuple[bool, Past]]:
        """Those of one partition: is it a canary, and the window."""
        kinds = ((False, self.replay), (True, self.canary))
        return [(canary, each) for canary, reservoir in kinds for each in reservoir.of(partition)]

    def add(self, held: Iterable[tuple[bool, Past]], step: int) -> None:
        """Keep what others kept."""
        for canary, past in held:
            (self.canary if canary else self.replay).add([past], self._rng(_SIFTING, step))

    def _rng(self, purpose: int, step: int) -> np.random.Generator:
        return np.random.default_rng([*self._key, step, purpose])
