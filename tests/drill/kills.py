"""kill -9 at random moments, alternating between a shard's process and the whole program with all its children."""

import random
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.program import Program, monitor_file, wait_for
from tests.e2e.stream import Record, Sending, alert_set, event_set, tallies, wait_until_accounted


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the kills changed. All but `kills`, `alerts` and the times must be zero.

    Attributes:
        lost, doubled, altered: alert transitions of the undisturbed run that are missing, there twice, or different.
        unaccounted: records whose fate differs from the undisturbed run.
        resume_p50_s, resume_max_s: from a kill to the next commit of the ledger.
    """

    kills: int
    alerts: int
    lost: int
    doubled: int
    altered: int
    unaccounted: int
    resume_p50_s: float
    resume_max_s: float

    @property
    def clean(self) -> bool:
        """Did the kills change nothing?"""
        return not (self.lost or self.doubled or self.altered or self.unaccounted)

    def described(self) -> dict[str, Any]:
        """Plain numbers."""
        return {**asdict(self), "clean": self.clean}


@dataclass(frozen=True, slots=True)
class Drill:
    """What is streamed, and where the two runs write."""

    records: list[Record]
    bootstrap: str
    topic: str
    disturbed_url: str
    calm_url: str
    directory: Path
    rate: float


def kill_run(drill: Drill, kills: int, seed: int) -> Verdict:
    """Stream the records, killing `kills` times; then once more, undisturbed; compare."""
    sending = Sending.start(drill.records, drill.bootstrap, drill.topic, drill.rate)
    resumed = _disturbed(drill, kills, random.Random(seed), sending)
    path, _ = monitor_file(drill.directory / "calm", drill.bootstrap, drill.calm_url, drill.topic)
    calm = Program(["run", str(path), "--no-learn", "--json"]).start()
    try:
        wait_until_accounted(drill.calm_url, "health", len(drill.records), 600)
    finally:
        calm.stop()
    return _compare(drill, kills, sorted(resumed))


def _disturbed(drill: Drill, kills: int, chance: random.Random, sending: Sending) -> list[float]:
    path, _ = monitor_file(drill.directory / "disturbed", drill.bootstrap, drill.disturbed_url, drill.topic)
    program = Program(["run", str(path), "--no-learn", "--json"]).start()
    resumed = []
    try:
        for kill in range(kills):
            pid = program.member_pid("shard")
            time.sleep(chance.uniform(0.2, 3.0))
            killed = time.monotonic()
            if kill % 2:
                program.kill()
            else:
                psutil.Process(pid).kill()
            before = sum(tallies(drill.disturbed_url, "health").values())
            if kill % 2:
                program = Program(program.arguments).start()
            wait_for(lambda before=before: _more(drill, before), 120, "a commit after the kill")
            resumed.append(time.monotonic() - killed)
        sending.thread.join()
        wait_until_accounted(drill.disturbed_url, "health", len(drill.records), 600)
    finally:
        program.stop()
    return resumed


def _more(drill: Drill, before: int) -> bool:
    now = sum(tallies(drill.disturbed_url, "health").values())
    return now > before or now >= len(drill.records)


def _compare(drill: Drill, kills: int, resumed: list[float]) -> Verdict:
    seen, expected = Counter(event_set(drill.disturbed_url)), Counter(event_set(drill.calm_url))
    rows, wanted = alert_set(drill.disturbed_url), alert_set(drill.calm_url)
    fates = tallies(drill.disturbed_url, "health"), tallies(drill.calm_url, "health")
    return Verdict(
        kills=kills,
        alerts=len(wanted),
        lost=sum((expected - seen).values()),
        doubled=sum((seen - expected).values()),
        altered=len(rows ^ wanted),
        unaccounted=sum(abs(fates[0][name] - fates[1][name]) for name in fates[1]),
        resume_p50_s=round(resumed[len(resumed) // 2], 2),
        resume_max_s=round(resumed[-1], 2),
    )
