"""What a system costs: CPU time and memory of a process and everything it started."""

import threading
from dataclasses import dataclass, field
from typing import Self

import psutil

_GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


def tree(root: int) -> list[psutil.Process]:
    """The process and all its descendants that live now."""
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(root: int) -> dict[int, float]:
    """User and system time of each process of the tree, children that have ended included, by pid."""
    found = {}
    for process in tree(root):
        try:
            times = process.cpu_times()
        except _GONE:
            continue
        found[process.pid] = times.user + times.system
    return found


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """CPU-seconds between two readings."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def pss_mb(root: int) -> float:
    """Memory of the tree, shared pages split among those who share them (proportional set size)."""
    total = 0
    for process in tree(root):
        try:
            total += process.memory_full_info().pss
        except _GONE:
            continue
    return total / 2**20


@dataclass(slots=True)
class PeakMemory:
    """Watches a tree's memory in a thread, seldom enough not to be felt."""

    root: int
    peak_mb: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self._look()

    def _look(self) -> None:
        self.peak_mb = max(self.peak_mb, pss_mb(self.root))
