"""What labels taught and is taught again: who told it, of which class, under which regime of drift.

Memory is balanced by class and regime: of a class that one label in a hundred tells of, all is kept while the others
make room (Chrysakis and Moens, 2020, algorithm 1). With one class it is Vitter's algorithm R (1985). What is drawn is
balanced by source.
"""

import math
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np

from trainer.piece import Piece

Stratum = tuple[int, frozenset[tuple[str, int]]]
"""Under which regime it was taught, and what it tells: tasks with values."""


class Replay:
    """At most so many pieces that were taught.

    Args:
        capacity: how many.
        draws: how many stand beside the fresh ones of a step.
        rng: what is forgotten, and what is drawn.
    """

    def __init__(self, capacity: int, draws: int, rng: np.random.Generator) -> None:
        self.held: list[Piece] = []
        self._capacity, self._draws, self._rng = capacity, draws, rng
        self._strata: list[Stratum] = []
        """Of those held."""
        self._came: Counter[Stratum] = Counter()
        self._full: set[Stratum] = set()
        """Those that once had most: their newer pieces take their own older ones' places only."""

    def add(self, piece: Piece, regime: int) -> None:
        """Keep it, or not; where there is no room, of the stratum that has most goes a random one."""
        stratum = self.stratum(piece, regime)
        self._came[stratum] += 1
        if len(self.held) < self._capacity:
            self.held.append(piece)
            self._strata.append(stratum)
            return
        have = Counter(self._strata)
        most = max(have.values())
        largest = {each for each, held in have.items() if held == most}
        self._full |= largest
        if stratum in self._full:
            if self._rng.random() * self._came[stratum] >= have[stratum]:
                return
            largest = {stratum}
        places = [place for place, each in enumerate(self._strata) if each in largest]
        place = places[int(self._rng.integers(len(places)))]
        self.held[place], self._strata[place] = piece, stratum

    def stratum(self, piece: Piece, regime: int) -> Stratum:
        """Of whom it shares the room."""
        return regime, frozenset((label.task, label.value) for label, _ in piece.labels)

    def drop(self, pieces: Sequence[Piece]) -> None:
        """Hold none of these any more. What is left counts as all that ever came: others of its classes find room."""
        dropped = set(map(id, pieces))
        left = [place for place, piece in enumerate(self.held) if id(piece) not in dropped]
        self.held = [self.held[place] for place in left]
        self._strata = [self._strata[place] for place in left]
        self._came, self._full = Counter(self._strata), set()

    def beside(self, fresh: Sequence[Piece]) -> list[Piece]:
        """What is to be taught again beside these, in the order drawn but for whose turn it is.

        It makes each source's part of the step as large as the cube root of what it told: a source that tells eight
        times as many as another counts twice. Turns by Webster's method (Sainte-Lague): next comes the source whose
        part of the step, in rows that are taught, is shortest of its claim.
        """
        drawn = [self.held[place] for place in self._rng.permutation(len(self.held)).tolist()]
        told = _weights([*drawn, *fresh])
        taken = _weights(fresh)
        queues: dict[str, deque[Piece]] = {}
        for piece in drawn:
            queues.setdefault(piece.source, deque()).append(piece)
        found: list[Piece] = []
        while queues and len(found) < self._draws:
            source = min(
                queues, key=lambda each: (taken[each] + queues[each][0].weight / 2) / math.cbrt(told[each] or 1)
            )
            piece = queues[source].popleft()
            found.append(piece)
            taken[source] += piece.weight
            if not queues[source]:
                del queues[source]
        return found


def _weights(pieces: Sequence[Piece]) -> Counter[str]:
    """Source -> rows that its pieces teach."""
    weights: Counter[str] = Counter()
    for piece in pieces:
        weights[piece.source] += piece.weight
    return weights
