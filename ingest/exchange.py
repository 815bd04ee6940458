"""What the poller thread and the reader hand each other: records, gained and lost partitions, seeks.

Partitions are gained in generations: a seek asked for under an older one is void, so a partition that was lost and
gained again while the reader was busy is never read twice from two places.
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ingest.record import Record
from schemas.observation import Partition

Polled = dict[Partition, list[Record]]


@dataclass(frozen=True, slots=True)
class Gained:
    """Partitions that wait for the reader to say where they start."""

    partitions: tuple[Partition, ...]
    generation: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Partitions that have gone. `released` is set once the reader has let go of them."""

    partitions: tuple[Partition, ...]
    released: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Seek:
    """Where the reader wants partitions of one generation to start."""

    offsets: Mapping[Partition, int]
    generation: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A poll in the queue, how many records it holds and how many bytes they are."""

    polled: Polled
    records: int
    size: int

    @classmethod
    def of(cls, polled: Polled) -> "_Waiting":
        values = [record.value for records in polled.values() for record in records]
        return cls(polled, len(values), sum(map(len, filter(None, values))))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait, and how much the reader takes at once (of small polls; one poll is never split).

    `ahead_records`: a poll that brings so many is followed by the next one, whatever the reader does.
    """

    waiting_records: int
    waiting_bytes: int
    taken_records: int
    ahead_records: int


class Exchange:
    """Thread-safe and bounded. The reader takes all that waits in one go: the busier it is, the larger its batches.

    Small polls are made on demand: while the reader works, one would bring little and take the interpreter from it.

    Changes of ownership overtake records: a reader sees `Lost` before any record polled later, and the lost
    partitions' queued records vanish at once.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._lock = threading.Lock()
        self._filled, self._drained = threading.Condition(self._lock), threading.Condition(self._lock)
        self._queue: deque[_Waiting] = deque()
        self._changes: deque[Gained | Lost] = deque()
        self._seeks: deque[Seek] = deque()
        self._generation: dict[Partition, int] = {}
        self._generations = 0
        self._open: set[Partition] = set()
        self._error: Exception | None = None
        self._reader_waits = self._polls_are_large = False

    def gain(self, partitions: Sequence[Partition]) -> None:
        """The group gave these partitions."""
        with self._lock:
            self._generations += 1
            self._generation |= dict.fromkeys(partitions, self._generations)
            self._changes.append(Gained(tuple(partitions), self._generations))
            self._filled.notify_all()

    def lose(self, partitions: Sequence[Partition]) -> Lost:
        """The group took these partitions."""
        lost = Lost(tuple(partitions))
        with self._lock:
            for partition in partitions:
                self._generation.pop(partition, None)
                self._open.discard(partition)
            still = (self._still_open(waiting.polled) for waiting in self._queue)
            self._queue = deque(_Waiting.of(polled) for polled in still if polled)
            self._changes.append(lost)
            self._filled.notify_all()
            self._drained.notify_all()
        return lost

    def next_seek(self) -> dict[Partition, int] | None:
        """The partitions, with their offsets, to read from now on; None when nothing was asked."""
        with self._lock:
            if not self._seeks:
                return None
            seek = self._seeks.popleft()
            found = {p: o for p, o in seek.offsets.items() if self._generation.get(p) == seek.generation}
            self._open |= found.keys()
            return found

    def put(self, polled: Polled) -> None:
        """Queue records, but those of partitions lost since they were polled."""
        with self._lock:
            self._polls_are_large = sum(map(len, polled.values())) >= self._bounds.ahead_records
            if kept := self._still_open(polled):
                self._queue.append(_Waiting.of(kept))
                self._reader_waits = False
                self._filled.notify_all()

    def _still_open(self, polled: Polled) -> Polled:
        return {partition: records for partition, records in polled.items() if partition in self._open}

    def wants_more(self, timeout_seconds: float) -> bool:
        """Wait at most that long until it is worth while to poll, or there is something to seek."""
        with self._lock:
            return self._drained.wait_for(self._wants_more, timeout_seconds)

    def _wants_more(self) -> bool:
        return bool(self._seeks) or (self._has_room() and (self._reader_waits or self._polls_are_large))

    def has_room(self) -> bool:
        """Is there room for another poll?"""
        with self._lock:
            return self._has_room()

    def _has_room(self) -> bool:
        bounds = self._bounds
        records, size = sum(each.records for each in self._queue), sum(each.size for each in self._queue)
        return records < bounds.waiting_records and size < bounds.waiting_bytes

    def fail(self, error: Exception) -> None:
        """Let the reader raise this."""
        with self._lock:
            self._error = error
            self._filled.notify_all()

    def take(self, timeout_seconds: float) -> Polled | Gained | Lost | None:
        """The next thing the reader must see, None after the timeout.

        Raises:
            Exception: what the poller failed with.
        """
        with self._lock:
            if not self._something_waits():
                self._reader_waits = True
                self._drained.notify_all()
            self._filled.wait_for(self._something_waits, timeout_seconds)
            if self._error:
                raise self._error
            if self._changes:
                return self._changes.popleft()
            if not self._queue:
                return None
            self._drained.notify_all()
            return self._take()

    def _something_waits(self) -> bool:
        return bool(self._changes or self._queue or self._error)

    def _take(self) -> Polled:
        first = self._queue.popleft()
        taken, count = first.polled, first.records
        while self._queue and (count := count + self._queue[0].records) <= self._bounds.taken_records:
            for partition, records in self._queue.popleft().polled.items():
                taken[partition] = [*taken.get(partition, ()), *records]
        return taken

    def seek(self, offsets: Mapping[Partition, int], generation: int) -> None:
        """Ask for partitions to be read from these offsets (-2 = the beginning)."""
        with self._lock:
            self._seeks.append(Seek(offsets, generation))
            self._drained.notify_all()
