"""What trainers took in, as their checkpoints tell it."""

import threading
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path

from infra.assembly import utc_now
from infra.checkpoints import Checkpoint, Checkpoints
from infra.database import connect
from infra.prequential import read_courses
from schemas.monitor import Monitor


def checkpoints_of(monitor: Monitor) -> Checkpoints:
    """Those of a monitor's trainers."""
    directory = Path(monitor.database.directory).resolve()
    return Checkpoints(connect(monitor.database.url), monitor.monitor, directory, utc_now)


def last_losses(monitor: Monitor) -> dict[str, float]:
    """Task -> mean loss over the last third of the steps, each before its rows were learned."""
    with connect(monitor.database.url).connect() as connection:
        courses = read_courses(connection, monitor.monitor, 3)
    return {each.task: each.means[-1] for each in courses if each.metric == "loss" and each.means[-1] is not None}


class Witness:
    """Sees every checkpoint that is ever recorded: old ones are let go of."""

    def __init__(self, monitor: Monitor) -> None:
        self.checkpoints, self.seen = checkpoints_of(monitor), dict[int, Checkpoint]()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    @property
    def events(self) -> int:
        """Rows learned, by the newest checkpoint; 0 before the first."""
        return sum(each.events for each in self.checkpoints.all()[:1])

    @property
    def taken(self) -> int:
        """Records taken in, by the newest checkpoint; 0 before the first."""
        return sum(max(at, 0) for each in self.checkpoints.all()[:1] for at in each.offsets.values())

    def _look(self) -> None:
        while not self.ended.wait(0.1):
            self.seen |= {each.id: each for each in self.checkpoints.all()}

    def history(self) -> list[Checkpoint]:
        """From the first one to the newest, each going on from the one before."""
        self.ended.set()
        self.thread.join()
        self.seen |= {each.id: each for each in self.checkpoints.all()}
        found = [self.checkpoints.all()[0]]
        while (parent := found[-1].parent) is not None:
            found.append(self.seen[parent])
        return found[::-1]


def gaps(history: Sequence[Checkpoint]) -> list[str]:
    """Where offsets were skipped or taken in twice, or a step is missing; empty if all is well."""
    found, stands = [], {partition.number: 0 for partition in history[0].offsets}
    for checkpoint in history:
        for _, taken, *_ in chain(*checkpoint.log):
            for partition, first, after in chain(*taken):
                if max(first, 0) != stands[partition]:
                    found.append(
                        f"checkpoint {checkpoint.id}: partition {partition} at {first}, not {stands[partition]}"
                    )
                stands[partition] = after
        if stands != {partition.number: max(at, 0) for partition, at in checkpoint.offsets.items()}:
            found.append(f"checkpoint {checkpoint.id}: it stands at {checkpoint.offsets}, its log at {stands}")
    steps = [step for checkpoint in history for step, *_ in checkpoint.log[0]]
    return found + [f"no step between {before} and {after}" for before, after in pairwise(steps) if after > before + 1]
