"""kill -9 of a trainer every so often: scoring never stops, learning advances, no row is skipped or learned twice."""

import random
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import psutil

from infra.database import connect, migrate
from tests.drill.kills import Drill
from tests.e2e.learned import Witness, gaps
from tests.e2e.program import Program, monitor_file, wait_for
from tests.e2e.stream import Sending, tallies, wait_until_accounted

_STALL_S = 5.0
"""Longest that commits may be apart: as long as a killed shard may need to come back."""


@dataclass(frozen=True, slots=True)
class TrainersVerdict:
    """What killing trainers changed.

    Attributes:
        kills: of trainers.
        steps: taken and written down.
        events: rows learned.
        gaps: offsets skipped or taken in twice, by the log of every checkpoint; must be 0.
        longest_stall_s: between two commits of the shards while rows came in; at most 5.
        longest_pause_s: from a kill to the first step that was written down after it.
    """

    kills: int
    steps: int
    events: int
    gaps: int
    longest_stall_s: float
    longest_pause_s: float

    @property
    def clean(self) -> bool:
        """Was nothing skipped or doubled, did learning advance, and did scoring never wait for it?"""
        return not self.gaps and self.steps > 0 and self.longest_stall_s <= _STALL_S

    def described(self) -> dict[str, Any]:
        """Plain numbers."""
        return {**asdict(self), "clean": self.clean}


def kill_trainers(drill: Drill, kills: int, every_seconds: float, trainers: int, seed: int) -> TrainersVerdict:
    """Stream the records, and kill one of the trainers again and again."""
    training = {"windows_per_step": 16, "checkpoint_every": "PT2S"}
    directory = drill.directory / "trainers"
    path, monitor = monitor_file(directory, drill.bootstrap, drill.disturbed_url, drill.topic, training=training)
    migrate(connect(drill.disturbed_url))
    sending = Sending.start(drill.records, drill.bootstrap, drill.topic, drill.rate)
    witness, chance = Witness(monitor), random.Random(seed)
    program = Program(["run", str(path), "--trainers", str(trainers), "--json"]).start()
    pauses, commits = [], []
    try:
        wait_for(lambda: len(learning(program)) == trainers, 120, f"{trainers} trainers")
        for _ in range(kills):
            deadline = time.monotonic() + every_seconds
            while time.monotonic() < deadline:
                commits.append((time.monotonic(), sum(tallies(drill.disturbed_url, monitor.monitor).values())))
                time.sleep(0.1)
            wait_for(lambda: bool(learning(program)), 120, "a trainer to kill")
            victim, before = chance.choice(learning(program)), witness.events
            psutil.Process(victim["pid"]).kill()
            killed = time.monotonic()
            wait_for(lambda before=before: witness.events > before, 120, "a step after the kill")
            pauses.append(time.monotonic() - killed)
        sent = sending.end()
        wait_until_accounted(drill.disturbed_url, monitor.monitor, sent, 600)
        wait_for(lambda: witness.taken == sent, 600, "every row to be taken in")
    finally:
        program.stop()
    history = witness.history()
    return TrainersVerdict(
        kills=kills,
        steps=history[-1].step,
        events=history[-1].events,
        gaps=len(gaps(history)),
        longest_stall_s=round(_longest_stall(commits), 1),
        longest_pause_s=round(max(pauses, default=0.0), 1),
    )


def learning(program: Program) -> list[dict[str, Any]]:
    """Trainers that have a place, and whose processes live."""
    members = program.lines[-1].get("members", []) if program.lines else []
    found = [member for member in members if member["name"] == "trainer" and member.get("ranks")]
    return [member for member in found if psutil.pid_exists(member["pid"])]


def _longest_stall(commits: list[tuple[float, int]]) -> float:
    moved = [commits[0][0], *(at for (_, before), (at, now) in pairwise(commits) if now > before)]
    return max((after - before for before, after in pairwise(moved)), default=0.0)
