"""Windows that are kept: to be learned again, or to be judged by.

A window is kept with the exact statistics that it started from, which do not depend on weights; its hidden state would
grow stale (Kapturowski et al., 2019, section 3), so it starts blank.

E packed entities, F statistics, S signals.
"""

from bisect import insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from schemas.layout import Layout
from schemas.observation import Float64, Partition
from trainer.lesson import Lesson, lesson_of
from trainer.network import Network, State
from trainer.states import blank
from trainer.windows import Window


@dataclass(frozen=True, slots=True)
class Past:
    """A window that was.

    Attributes:
        window: its slot means nothing any more.
        statistics_FS: of its entity, before its first row.
        regime: how often drift had been met until then.
    """

    window: Window
    statistics_FS: Float64
    regime: int


class Reservoir:
    """At most so many past windows, each regime with as many as its share (after Chrysakis and Moens, 2020).

    They lie in the order of where they came from, not of when they were added: one that is filled from checkpoints
    draws as the one that wrote them.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.held: list[Past] = []

    def add(self, past: Past, rng: np.random.Generator) -> None:
        """Keep it; where there is no room, a random one of the regime that has most makes some."""
        if len(self.held) >= self.capacity > 0:
            del self.held[self._place(past.regime, rng)]
        if self.capacity:
            insort(self.held, past, key=_origin)

    def draw(self, n: int, rng: np.random.Generator) -> list[Past]:
        """So many of them, distinct, in random order; fewer where fewer are held."""
        return [self.held[place] for place in rng.permutation(len(self.held))[:n].tolist()]

    def of(self, partition: Partition) -> list[Past]:
        """Those of one partition."""
        return [each for each in self.held if each.window.partition == partition]

    def _place(self, newest: int, rng: np.random.Generator) -> int:
        """Of whom to forget, when one of the newest regime comes."""
        ((most, _),) = Counter([newest, *(each.regime for each in self.held)]).most_common(1)
        places = [place for place, each in enumerate(self.held) if each.regime == most]
        return places[int(rng.integers(len(places)))]


def _origin(past: Past) -> tuple[str, int, tuple[int, int]]:
    """No two windows begin at the same record."""
    return past.window.partition.topic, past.window.partition.number, past.window.offsets


def past_lesson(
    past: Sequence[Past], layout: Layout, rng: np.random.Generator, device: torch.device
) -> tuple[Lesson, Tensor]:
    """A lesson of past windows, each on its own, and the statistics that they start from, [E, F, S]; on a device."""
    lesson = lesson_of([replace(each.window, slot=place) for place, each in enumerate(past)], layout, rng)
    assert lesson.slots_E is not None
    statistics = np.stack([each.statistics_FS for each in past])
    return lesson.to(device), torch.from_numpy(statistics[lesson.slots_E]).to(device)


def start_of(network: Network, statistics_EFS: Tensor) -> State:
    """The state of entities of whom nothing but the statistics is known."""
    return blank(network, len(statistics_EFS)) | {"statistics": statistics_EFS}
