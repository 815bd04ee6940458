"""Trainers as processes of their own that learn together, without Ray."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.stack.server import free_port


class Trainer:
    """One of them."""

    def __init__(self, monitor: Path, index: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.trainer_program", str(monitor), str(index)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.last: dict[str, Any] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith("{"):
                self.last = json.loads(line)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Group:
    """Gives places to trainers."""

    def __init__(self, monitor: Path) -> None:
        self.monitor, self.formation = monitor, 0
        self.trainers: list[Trainer] = []

    def start(self, count: int) -> None:
        self.trainers += [Trainer(self.monitor, len(self.trainers) + index) for index in range(count)]
        wait(lambda: all("steps" in trainer.last for trainer in self.trainers), "trainers that answer")

    def form(self) -> None:
        self.formation += 1
        port = free_port()
        for rank, trainer in enumerate(self.trainers):
            place = {
                "formation": self.formation,
                "rank": rank,
                "ranks": len(self.trainers),
                "address": f"127.0.0.1:{port}",
            }
            assert trainer.process.stdin
            trainer.process.stdin.write(f"{json.dumps(place)}\n")
            trainer.process.stdin.flush()

    def lose(self, index: int) -> None:
        self.trainers.pop(index).kill()

    def steps(self) -> int:
        return max(trainer.last["steps"] for trainer in self.trainers)


def wait(condition: Callable[[], bool], what: str, within: float = 90.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"waited {within:g} s for {what}"
        time.sleep(0.05)


@contextmanager
def group_of(monitor: Path) -> Iterator[Group]:
    group = Group(monitor)
    try:
        yield group
    finally:
        for trainer in group.trainers:
            trainer.kill()
