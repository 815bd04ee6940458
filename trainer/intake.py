"""What a rank has read and not learned yet: rows until they fill windows, windows and labels until they make a step."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from schemas.label import Label
from schemas.layout import Layout
from schemas.observation import Batch, Partition
from trainer.hindsight import Hindsight
from trainer.kept import Kind
from trainer.lesson import Lesson, lesson_of
from trainer.queue import Queue
from trainer.shares import share_of, waiting_of
from trainer.slots import Slots
from trainer.told import Told
from trainer.windows import Window, WindowBuffer

_LABELS = 1
"""Labels' draws are a stream of their own: steps that are taken again are told what was drawn."""


class Intake:
    """Rows and labels in, lessons out.

    Args:
        layout: order of signals and tasks.
        slots: of the entities.
        seed: of the injected faults.
        rank: which of the ranks this is: each draws its own.
        labelled: will labels come? Rows are then remembered until they do.
        hurried: will they be few? See `Hindsight`.
    """

    def __init__(
        self, layout: Layout, slots: Slots, seed: int, rank: int, *, labelled: bool = False, hurried: bool = False
    ) -> None:
        self._layout, self._slots = layout, slots
        self._per_step = layout.monitor.training.windows_per_step
        self._seed, self._rank = seed, rank
        self._rng = np.random.default_rng([seed, rank])
        self._buffer = WindowBuffer(layout, slots)
        self._queue = Queue()
        draws = np.random.default_rng([seed, rank, _LABELS])
        self.hindsight = Hindsight(layout, draws, hurried=hurried) if labelled else None

    @property
    def ready(self) -> bool:
        """Is there enough for a step?"""
        told = self.hindsight is not None and self.hindsight.ready
        return told or self._filled

    def take(self, batch: Batch) -> None:
        """Take rows in."""
        if self.hindsight is not None:
            self.hindsight.remember(batch)
        for windows, changed_hands in self._buffer.add(batch):
            self._queue.drop(changed_hands)
            self._queue.extend(windows)

    def tell(self, labels: Sequence[Label]) -> None:
        """Take labels in. Needs `labelled`."""
        assert self.hindsight is not None
        self.hindsight.tell(labels)

    def told(self, regime: int) -> Told | None:
        """What labels teach in the next step; None: nothing yet."""
        return None if self.hindsight is None else self.hindsight.next(regime)

    def withdraw(self, told: Told) -> None:
        """What they taught was refused, and is not replayed."""
        if self.hindsight is not None:
            self.hindsight.withdraw(told[0])

    def windows(self) -> list[Window]:
        """Those of the next step; empty: there are too few."""
        return self._queue.take(self._per_step) if self._filled else []

    def lesson(self, windows: Sequence[Window]) -> Lesson:
        """Of these windows, with faults drawn and injected."""
        return lesson_of(windows, self._layout, self._rng)

    def draw_anew(self, step: int) -> None:
        """From here draw as one that goes on from this step would."""
        self._rng.bit_generator.state = np.random.default_rng([self._seed, self._rank, step]).bit_generator.state

    def share_of(self, partition: Partition, kept: Iterable[Kind]) -> dict[str, Any]:
        """What is held of a partition's entities: states, windows that wait, and `kept`, the old ones."""
        return share_of(partition, self._slots, self._queue, kept)

    def add_shares(self, shares: Mapping[Partition, Mapping[str, Any]]) -> None:
        """Hold what others held of these partitions."""
        windows, changed_hands = waiting_of(shares, self._slots)
        self._queue.drop(changed_hands)
        self._queue.extend(windows)

    @property
    def _filled(self) -> bool:
        return len(self._queue) >= self._per_step
