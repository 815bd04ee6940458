"""The live view of running monitors: a table that stays in place on a terminal, lines where output is piped."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

_LINE_SECONDS = 2.0


@dataclass(slots=True)
class Seen:
    """One monitor's standing, summed over its shards."""

    name: str
    events: int = 0
    alerts: int = 0
    dead_letters: int = 0
    lag: int = 0
    version: int = 0
    steps: int = 0
    trainers: int = 0
    behind: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)
    private: Sequence[str] = ()
    per_second: float = 0.0
    members: list[dict[str, Any]] = field(default_factory=list)
    _read: dict[int, int] = field(default_factory=dict)
    _ends: dict[int, int] = field(default_factory=dict)

    def take(self, members: Sequence[Mapping[str, Any]], seconds: float) -> None:
        """Sum what the members say; `seconds` since the last time."""
        self.members = [dict(member) for member in members]
        shards = [member for member in members if member["name"] == "shard"]
        events = sum(int(shard.get("events", 0)) for shard in shards)
        fresh = (events - self.events) / seconds if seconds > 0 else 0.0
        self.per_second = 0.5 * self.per_second + 0.5 * max(fresh, 0.0)
        self.events = max(events, self.events)
        self.alerts = sum(int(shard.get("alerts", 0)) for shard in shards)
        self.dead_letters = sum(int(shard.get("dead_letters", 0)) for shard in shards)
        self.lag = sum(int(shard.get("lag", 0)) for shard in shards)
        self.version = max((int(shard.get("model_version", 0)) for shard in shards), default=0)
        learning = [member for member in members if member["name"] == "trainer" and member.get("ranks")]
        self.trainers = len(learning)
        self.behind = self._behind(members)
        if learning:
            trainer = max(learning, key=lambda trainer: int(trainer["steps"]))  # one that has just come has none yet
            self.steps, self.losses, self.private = trainer["steps"], trainer["losses"], trainer["private"]

    def _behind(self, members: Sequence[Mapping[str, Any]]) -> int:
        """From where trainers last said they were to the farthest end that any member knows.

        A trainer that hangs, or died, knows of no row that came since; shards do.
        """
        read: dict[int, int] = {}
        for member in members:
            for partition, at in member.get("read", {}).items():
                read[partition] = min(at, read.get(partition, at))  # one that hangs may speak of another's by now
            for partition, end in member.get("ends", {}).items():
                self._ends[partition] = max(end, self._ends.get(partition, 0))
        self._read |= read
        return sum(max(self._ends.get(partition, 0) - at, 0) for partition, at in self._read.items())

    @property
    def steps_text(self) -> str:
        """Steps, how many learn together, and how many records they have not read yet."""
        together = f" of {self.trainers} trainers" if self.trainers > 1 else ""
        return f"{self.steps} steps{together}" + (f" ({self.behind:,} behind)" if self.behind else "")

    @property
    def loss_text(self) -> str:
        """Per-task prequential losses; below 1 is better than the baseline; private: it shares nothing."""
        private = dict.fromkeys(self.private, " private")
        return "  ".join(f"{task} {loss:.3f}{private.get(task, '')}" for task, loss in self.losses.items()) or "-"


class Progress:
    """Shows `Seen` rows until closed.

    Args:
        console: where to.
        monotonic: a clock in seconds.
    """

    def __init__(self, console: Console, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._monotonic = monotonic
        self._live = Live(console=console, refresh_per_second=4, transient=False) if console.is_terminal else None
        self._next_line = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, rows: Sequence[Seen]) -> None:
        """Show the rows now."""
        if self._live:
            self._live.update(_table(rows))
        elif self._monotonic() >= self._next_line:
            self._next_line = self._monotonic() + _LINE_SECONDS
            for row in rows:
                self._console.print(_line(row), soft_wrap=True, highlight=False)


def _table(rows: Sequence[Seen]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("monitor", "events", "events/s", "lag", "alerts", "dead letters", "model", "learned"):
        table.add_column(heading, justify="left" if heading == "monitor" else "right")
    table.add_column("prequential loss per task")
    for row in rows:
        numbers = (row.events, row.per_second, row.lag, row.alerts, row.dead_letters)
        table.add_row(row.name, *(f"{n:,.0f}" for n in numbers), f"v{row.version}", row.steps_text, row.loss_text)
    return table


def _line(row: Seen) -> str:
    return (
        f"{row.name}: {row.events:,} events ({row.per_second:,.0f}/s, lag {row.lag:,}), {row.alerts} alerts, "
        f"{row.dead_letters} dead letters, model v{row.version}, {row.steps_text}, loss: {row.loss_text}"
    )
