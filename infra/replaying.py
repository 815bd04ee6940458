"""Makes a version anew: from the checkpoint before it, by the log of what each rank took in before each step."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

import torch
from torch import distributed
from torch.distributed import HashStore, ProcessGroup  # type: ignore[attr-defined]

from infra.assembly import registry_of, utc_now
from infra.checkpoints import SHARED, Checkpoint, Checkpoints, file_of, told_of, way_to
from infra.database import database_of, migrate
from infra.unpublished import Unpublished
from ingest.cluster import cluster_of
from ingest.lookback import batches_between, globals_of
from schemas.errors import InputError
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Partition
from schemas.protocols import TRAINER
from scorer.globals import GlobalTable
from trainer.checkpoint import unpacked
from trainer.learner import Learner
from trainer.told import Told, read

_PATIENCE = timedelta(seconds=60)
Entry = Sequence[Any]
"""As in a checkpoint's log."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came out.

    Attributes:
        version: what was made anew.
        from_step: step of the checkpoint that it began from.
        steps: taken since.
        rows: learned in them.
        ranks: that learned together, then and now.
        published: versions on the way -> (SHA-256 then, SHA-256 now), the asked one last; "" where none was published.
    """

    version: int
    from_step: int
    steps: int
    rows: int
    ranks: int
    published: Mapping[int, tuple[str, str]]

    @property
    def same(self) -> bool:
        """Is every version bit for bit what it was?"""
        return bool(self.published) and all(then == now for then, now in self.published.values())


def replay(monitor: Monitor, version: int) -> Replayed:
    """Learn again what made a version, with as many ranks, from the same rows in the same steps.

    Raises:
        InputError: it was made by no trainer whose checkpoint is kept, or its rows are no longer in the topic.
        ModelError: it is unknown, or a file is missing or torn.
        StackError: the database or the broker cannot be read.
    """
    torch.set_num_threads(1)
    engine, layout = database_of(monitor), Layout(monitor)
    registry = registry_of(monitor, engine)
    migrate(engine)
    maker = registry.get(version).made_by
    if maker != TRAINER:
        raise InputError(f"model version {version}: made by `{maker}`; expected one that a trainer made")
    checkpoints = Checkpoints(engine, monitor.monitor, monitor.database.folder, utc_now)
    base, *way = _way(checkpoints.all(), version)
    topic = monitor.topics.observations
    if not base.is_of(cluster_of(monitor.kafka.bootstrap_servers).origin(topic)):
        raise InputError(f"model version {version}: made of rows of a topic {topic} that was made anew since")
    logs = _logs(way, version)
    numbers = [entry[2] for entry in logs[0] if entry[2] is not None]
    found = Unpublished(registry, base.version, numbers, tried=bool(registry.shadow_rows))
    ranks, store = len(logs), HashStore()

    def one(rank: int) -> Learner:
        group = distributed.ProcessGroupGloo(store, rank, ranks, _PATIENCE) if ranks > 1 else None
        learner = Learner(layout, monitor.model.seed, found, group=cast("ProcessGroup | None", group))
        learner.load_state_dict(unpacked(checkpoints.read(base, SHARED)))
        mine = list(base.offsets)[rank::ranks]
        learner.add_shares({each: unpacked(checkpoints.read(base, file_of(each))) for each in mine})
        name, told = told_of(rank), dict[int, Told]()
        for each in way:
            told |= read(unpacked(checkpoints.read(each, name))) if name in each.files else {}
        _learn(learner, layout, logs[rank], told)
        return learner

    with ThreadPoolExecutor(ranks) as pool:
        learner, *_ = pool.map(one, range(ranks))
    then = {made: registry.get(made).digest for made in numbers}
    rows = learner.events - base.events
    return Replayed(version, base.step, learner.steps - base.step, rows, ranks, beside(then, found.digests))


def beside(then: Mapping[int, str], now: Mapping[int, str]) -> dict[int, tuple[str, str]]:
    """Digests by version; first those that there were not, so that the asked one stays last."""
    more = [made for made in now if made not in then]
    return {made: (then.get(made, ""), now.get(made, "")) for made in (*more, *then)}


def _way(kept: Sequence[Checkpoint], version: int) -> list[Checkpoint]:
    """From the whole checkpoint before the version to the one that tells how it was published."""
    ways = [way for each in kept for way in [way_to(each, kept)] if way]
    found = next((way for way in ways if version in way[-1].published), None)
    if found is None:
        within = sorted(set().union(*(way[-1].published for way in ways)))
        expected = f"one of {', '.join(map(str, within))}" if within else "one that a running trainer published lately"
        raise InputError(f"model version {version}: no checkpoint before it is kept; expected {expected}")
    return found


def _logs(way: Sequence[Checkpoint], version: int) -> list[list[Entry]]:
    """Each rank's, to the step that published the version."""
    logs = [[entry for each in way for entry in each.log[rank]] for rank in range(way[0].ranks)]
    end = next(place for place, entry in enumerate(logs[0]) if entry[2] == version) + 1
    return [log[:end] for log in logs]  # a step has an entry on every rank


def _learn(learner: Learner, layout: Layout, log: Sequence[Entry], told: Mapping[int, Told]) -> None:
    topic, table = layout.monitor.topics.observations, GlobalTable(layout)
    table.add(globals_of(layout, utc_now))
    taken = [batch for entry in log for batch in entry[1]]
    spans = [{Partition(topic, number): (first, after) for number, first, after in batch} for batch in taken]
    batches = batches_between(layout, utc_now, spans)
    for _, before, _, *followed in log:
        for _ in before:
            batch = next(batches)
            learner.take(replace(batch, values=table.join(batch.time_ms, batch.values)))
        for standing in followed:
            if standing is not None:
                learner.follow(*standing)
        learner.step(told.get(learner.steps + 1))
        learner.publish_if_proved()
