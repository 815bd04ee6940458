"""Windows that wait to be learned, oldest first."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator

from trainer.windows import Window

_LONGEST_PIECE = 4
"""Windows of one entity in one step: gradients flow through as many."""


class Queue:
    """Holds every window until it is taken; those of an entity that made room are let go of."""

    def __init__(self) -> None:
        self._windows: deque[Window] = deque()

    def __len__(self) -> int:
        return len(self._windows)

    def __iter__(self) -> Iterator[Window]:
        return iter(self._windows)

    def extend(self, windows: Iterable[Window]) -> None:
        """They come last."""
        self._windows.extend(windows)

    def drop(self, slots: Collection[int]) -> None:
        """These slots changed hands."""
        if slots:
            gone = set(slots)
            self._windows = deque(window for window in self._windows if window.slot not in gone)

    def take(self, n: int) -> list[Window]:
        """The oldest so many, at most a few of one entity; the others keep their place."""
        taken: list[Window] = []
        kept: deque[Window] = deque()
        pieces: dict[int, int] = {}
        while self._windows and len(taken) < n:
            window = self._windows.popleft()
            pieces[window.slot] = pieces.get(window.slot, 0) + 1
            (taken if pieces[window.slot] <= _LONGEST_PIECE else kept).append(window)
        self._windows.extendleft(reversed(kept))
        return taken
