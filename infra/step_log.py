"""What a rank did, step by step, since it was last written down: enough to do it again."""

from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from schemas.observation import Ranges
from trainer.step_report import StepReport
from trainer.told import Told, bytes_of

_MOST_TOLD = 16 << 20
"""Bytes of labelled pieces, each counted as often as it was taught, after which they are written down."""


@dataclass(slots=True)
class StepLog:
    """Of one rank.

    Attributes:
        entries: as in `Checkpoint.log`.
        told: step -> the pieces that labels taught in it.
    """

    entries: list[list[Any]] = field(default_factory=list)
    told: dict[int, Told] = field(default_factory=dict)
    _told_bytes: int = 0
    _taken: list[list[list[int]]] = field(default_factory=list)
    _followed: list[int] | None = None

    @property
    def full(self) -> bool:
        """Should it be written down, lest it grow too large?"""
        return self._told_bytes >= _MOST_TOLD

    def take(self, spans: Ranges) -> None:
        """A batch was taken in: [first, next) of each of its partitions."""
        self._taken.append([[each.number, *span] for each, span in spans.items()])

    def follow(self, serving: int, challenger: int) -> None:
        """It was news that these versions serve and are tried."""
        self._followed = [serving, challenger]

    def step(self, report: StepReport) -> None:
        """A step was taken."""
        self.entries.append([report.step, self._taken, None, self._followed])
        self._taken, self._followed = [], None
        if report.told is not None:
            self.told[report.step] = report.told
            self._told_bytes += sum(map(bytes_of, chain(*report.told)))

    def end(self, step: int) -> None:
        """Nothing follows: what was taken in since that step is in none yet."""
        if self._taken:
            self.entries.append([step, self._taken, None, None])
