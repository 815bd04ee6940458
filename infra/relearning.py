"""Learns anew, without what excluded sources told, what was learned since their first label."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from infra.assembly import registry_of, utc_now
from infra.checkpoints import SHARED, Checkpoint, Checkpoints, file_of
from infra.database import connect
from infra.labels.feed import remembered
from infra.labels.store import SqlLabels
from infra.registry import SqlRegistry
from infra.unpublished import Unpublished
from ingest.lookback import batches_between, globals_of
from schemas.errors import InputError, ModelError
from schemas.label import Label
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch, Partition
from schemas.protocols import ModelRecord
from scorer.globals import GlobalTable
from trainer.checkpoint import unpacked
from trainer.learner import Learner

RELEARNED = "relearn"
"""Who made such a version."""
_READ = 500
"""Records of a partition that are read at once."""


@dataclass(frozen=True, slots=True)
class Relearned:
    """What came out.

    Attributes:
        published: the version that was made; it serves, or is tried first.
        sources: whose labels are out of it.
        without: how many those were.
        from_step: step of the checkpoint that it began from.
        rows: learned since.
        labels: of others, taught again.
        untaught: of others, that were not: their rows are forgotten, or too few came together for a step.
    """

    published: ModelRecord
    sources: tuple[str, ...]
    without: int
    from_step: int
    rows: int
    labels: int
    untaught: int


def relearn(monitor: Monitor, who: str) -> Relearned:
    """Publish a version that learned everything but what excluded sources told.

    It begins from the last kept checkpoint before their first label, reads the topic from there to where the trainers
    last wrote down that they stood, and is told every other label when its step comes. One process takes the steps:
    where several ranks learned, each step then saw as many windows as ranks.

    Raises:
        InputError: no source is excluded that taught anything; no checkpoint from before is kept; or its rows are no
            longer in the topic.
        StackError: the database or the broker cannot be read.
    """
    torch.set_num_threads(1)
    engine, layout = connect(monitor.database.url, must_exist=True), Layout(monitor)
    registry, labels = registry_of(monitor, engine), SqlLabels(engine, monitor.monitor, lambda: ("", ""), utc_now)
    taught = labels.taught()
    excluded = labels.excluded()
    unwanted = [(step, label) for step, label in taught if label.source in excluded]
    if not unwanted:
        raise InputError(
            f"monitor {monitor.monitor}: no excluded source has taught anything; expected one: see `labels exclude`"
        )
    checkpoints = Checkpoints(engine, monitor.monitor, monitor.database.folder, utc_now)
    kept = checkpoints.all()
    base = _before(checkpoints, kept, unwanted[0][0])
    others = deque((step, label) for step, label in taught if step > base.step and label.source not in excluded)
    learner, count = _learner(layout, registry, checkpoints, base), len(others)
    newest_ms, labels_again = _learn(
        learner, _rows(layout, base, kept[0].offsets), others, max(each.ranks for each in kept)
    )
    state = learner.state_dict()
    published = registry.publish(state["weights"], base.version or None, state["recent"], newest_ms, made_by=RELEARNED)
    sources = tuple(sorted({label.source for _, label in unwanted}))
    why = f"learned anew from step {base.step}, without {len(unwanted)} labels of {len(sources)} excluded sources"
    registry.note(published.version, RELEARNED, who, why)
    labels.disown(excluded)
    rows = learner.events - base.events
    return Relearned(published, sources, len(unwanted), base.step, rows, labels_again, count - labels_again)


def _before(checkpoints: Checkpoints, kept: Sequence[Checkpoint], step: int) -> Checkpoint:
    """The last sound checkpoint before a step."""
    for checkpoint in kept:
        if checkpoint.step < step:
            try:
                for name in checkpoint.files:
                    checkpoints.read(checkpoint, name)
            except ModelError:
                continue
            return checkpoint
    oldest = min((each.step for each in kept), default=0)
    raise InputError(
        f"step {step} taught the first label of an excluded source; expected a checkpoint from before it, the oldest "
        f"kept is of step {oldest}: `models rollback` goes back to a version, `train` fits history"
    )


def _learner(layout: Layout, registry: SqlRegistry, checkpoints: Checkpoints, base: Checkpoint) -> Learner:
    seed = layout.monitor.model.seed
    learner = Learner(layout, seed, Unpublished(registry, base.version), labelled=True, hurried=True)
    learner.load_state_dict(unpacked(checkpoints.read(base, SHARED)))
    learner.add_shares({each: unpacked(checkpoints.read(base, file_of(each))) for each in base.offsets})
    for rows in remembered(layout, base.offsets):
        learner.hindsight.remember(rows)
    return learner


def _learn(learner: Learner, batches: Iterator[Batch], labels: deque[tuple[int, Label]], ranks: int) -> tuple[int, int]:
    """Take rows in, and each label at its step; the newest event time, and how many labels were taught."""
    newest_ms, taught, begin = 0, 0, learner.steps
    for batch in batches:
        learner.take(batch)
        taught += _steps(learner)
        newest_ms = max(newest_ms, int(batch.time_ms.max(initial=0)))
        learner.tell(_until(labels, begin + (learner.steps - begin) // ranks + 1))
        taught += _steps(learner)
    learner.tell([label for _, label in labels])
    return newest_ms, taught + _steps(learner)


def _rows(layout: Layout, base: Checkpoint, end: Mapping[Partition, int]) -> Iterator[Batch]:
    """All partitions' records since the checkpoint, side by side; global values stand joined."""
    first = {each: max(base.offsets[each], 0) for each in base.offsets}
    rounds = max(-(-(end[each] - first[each]) // _READ) for each in first)
    spans = [
        {
            each: (_part(first[each], end[each], turn, rounds), _part(first[each], end[each], turn + 1, rounds))
            for each in first
        }
        for turn in range(rounds)
    ]
    table = GlobalTable(layout)
    table.add(globals_of(layout, utc_now))
    for batch in batches_between(layout, utc_now, spans):
        yield replace(batch, values=table.join(batch.time_ms, batch.values))


def _part(first: int, end: int, turn: int, rounds: int) -> int:
    return first + (end - first) * turn // rounds


def _until(waiting: deque[tuple[int, Label]], step: int) -> list[Label]:
    """Labels that were taught until that step, taken from the queue."""
    found = []
    while waiting and waiting[0][0] <= step:
        found.append(waiting.popleft()[1])
    return found


def _steps(learner: Learner) -> int:
    """Take the steps that are due: how many labels did they teach?"""
    taught = 0
    while learner.ready:
        report = learner.step()
        taught += len(report.taught) if report.refused is None else 0
    return taught
