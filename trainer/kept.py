"""What a rank keeps of the windows that come by: some to be learned again, a few to be judged by and never again."""

from collections.abc import Iterable, Sequence

import numpy as np

from schemas.components import TrainingSettings
from schemas.observation import Partition
from trainer.past import Past, Reservoir
from trainer.slots import Slots
from trainer.windows import Window

_CANARIES, _REPLAYED = 1.0 / 32.0, 1.0 / 8.0
"""Shares of the windows that start at a state that is known."""
_SIFTING, _ADDING, _DRAWING = 1, 2, 3
Kind = tuple[bool, Past]
"""Is it a canary? And the window."""


class Kept:
    """Two reservoirs. What is drawn depends on seed, rank and step alone.

    Args:
        settings: how many of each.
        seed: of all draws.
        rank: whose windows these are.
    """

    def __init__(self, settings: TrainingSettings, seed: int, rank: int) -> None:
        drift = settings.drift
        rehearsed = drift.detector != "off" or drift.adapt_every
        self._key = (seed, rank)
        self.replay = Reservoir(drift.replay_windows if rehearsed else 0)
        self.canary = Reservoir(settings.canary.windows)

    def sift(self, windows: Sequence[Window], slots: Slots, regime: int, step: int) -> list[Kind]:
        """Those of a step's windows that are worth keeping, once the step was not refused; told before it is taken."""
        firsts = list({window.slot: window for window in reversed(windows)}.values())
        share = self._rng(_SIFTING, step).random(len(firsts))
        places = np.flatnonzero((share < _CANARIES) | (share >= 1.0 - _REPLAYED))
        chosen = [firsts[place] for place in places]
        slot = np.array([window.slot for window in chosen], dtype=np.int64)
        statistics = slots.gather(["statistics"], slot)["statistics"]
        past = (Past(*each, regime) for each in zip(chosen, statistics, strict=True))
        return list(zip((share[places] < _CANARIES).tolist(), past, strict=True))

    def draw(self, n: int, step: int) -> tuple[list[Past], np.random.Generator]:
        """At most so many to learn again, and what their faults are drawn from."""
        rng = self._rng(_DRAWING, step)
        return self.replay.draw(n, rng), rng

    def of(self, partition: Partition) -> list[Kind]:
        """Those of one partition."""
        kinds = ((False, self.replay), (True, self.canary))
        return [(canary, each) for canary, reservoir in kinds for each in reservoir.of(partition)]

    def add(self, held: Iterable[Kind], step: int) -> None:
        """Keep these."""
        rng = self._rng(_ADDING, step)
        for canary, past in held:
            (self.canary if canary else self.replay).add(past, rng)

    def forget(self, regime: int) -> None:
        """Keep none from since drift was met for so many times: it was none."""
        for reservoir in (self.replay, self.canary):
            reservoir.held = [past for past in reservoir.held if past.regime != regime]

    def _rng(self, purpose: int, step: int) -> np.random.Generator:
        return np.random.default_rng([*self._key, step, purpose])
