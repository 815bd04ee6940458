"""Learns anew, without what excluded sources told, what was learned since their first label."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch

from infra.assembly import registry_of, utc_now
from infra.checkpoints import SHARED, Checkpoint, Checkpoints, file_of
from infra.database import database_of, migrate
from infra.labels.feed import recall, remembered
from infra.labels.store import Lesson, SqlLabels
from infra.registry import SqlRegistry
from infra.standings import Standing
from infra.unpublished import Unpublished
from ingest.lookback import batches_since, globals_of
from schemas.errors import InputError, ModelError
from schemas.label import Label, LabelStatus
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.newest import UNKNOWN, Newest
from schemas.observation import Batch, Partition
from schemas.protocols import TRAINER, ModelRecord
from scorer.globals import GlobalTable
from trainer.checkpoint import unpacked
from trainer.learner import Learner

RELEARNED = "relearn"
"""Who made such a version."""
_READ = 500
"""Records of a partition that are read at once."""
_NEAR = 2_000
"""Records that trainers may be ahead, when the version is published: what they learned from those is let go."""


@dataclass(frozen=True, slots=True)
class Relearned:
    """What came out.

    Attributes:
        published: the version that was made; it serves.
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
    """Let a version serve that learned everything but what excluded sources told.

    It begins from the last kept checkpoint before their first label, and reads the topic from there to the trainers'
    newest checkpoint; every other label is told once its entity's rows have come as far as when it was taught first.
    Trainers may run meanwhile: they go on from it, and what they learned since that checkpoint is let go. One process
    takes the steps: where several ranks learned, each step then saw as many windows as ranks.

    Raises:
        InputError: no source is excluded that taught anything; no checkpoint from before is kept; history was fitted
            since; or rows are no longer in the topic.
        StackError: the database or the broker cannot be read.
    """
    torch.set_num_threads(1)
    engine, layout = database_of(monitor), Layout(monitor)
    migrate(engine)
    registry, labels = registry_of(monitor, engine), SqlLabels(engine, monitor.monitor, lambda: ("", ""), utc_now)
    checkpoints = Checkpoints(engine, monitor.monitor, monitor.database.folder, utc_now)
    excluded = labels.excluded()
    base = _before(checkpoints, registry, labels.first_step(excluded))
    _refuse_fitted(registry, base)
    again = _Again(_learner(layout, registry, labels, checkpoints, base))
    unwanted: list[Lesson] = []
    end, newest = base, checkpoints.whole()[0]
    while newest.id != end.id and (end is base or _ahead(end, newest) > _NEAR):
        taught = labels.taught(end.step, newest.step)
        unwanted += [each for each in taught if each.label.source in excluded]
        if not unwanted:
            break
        again.expect(each for each in taught if each.label.source not in excluded)
        again.learn(_joined(layout, end.offsets, newest.offsets))
        end, newest = newest, checkpoints.whole()[0]
    if not unwanted:
        raise _nobody(monitor.monitor)
    again.finish()
    sources = tuple(sorted({each.label.source for each in unwanted}))
    why = f"learned anew from step {base.step}, without {len(unwanted)} labels of {len(sources)} excluded sources"
    published = _serve(registry, again, base.version or None, who, why)
    labels.disown(unwanted, LabelStatus.EXCLUDED)
    labels.disown(again.untaught, LabelStatus.UNMATCHED)
    rows, untaught = again.learner.events - base.events, len(again.untaught)
    return Relearned(published, sources, len(unwanted), base.step, rows, len(again.expected) - untaught, untaught)


@dataclass(slots=True)
class _Again:
    """Takes rows in, and tells labels when they may be told.

    Attributes:
        learner: that learns.
        expected: labels to be told.
        newest: how new its rows are.
    """

    learner: Learner
    expected: list[Lesson] = field(default_factory=list)
    newest: Newest = UNKNOWN
    _waiting: dict[str, deque[Lesson]] = field(default_factory=dict)
    _taught: set[Label] = field(default_factory=set)

    def expect(self, lessons: Iterable[Lesson]) -> None:
        """Labels to tell, in the order in which they were taught."""
        for lesson in lessons:
            self.expected.append(lesson)
            self._waiting.setdefault(lesson.label.entity, deque()).append(lesson)

    def learn(self, batches: Iterable[Batch]) -> None:
        """Rows, and each label once its entity's rows have come as far as when it was taught first."""
        for batch in batches:
            self.learner.take(batch)
            self.newest = self.newest.with_rows(batch)
            self._steps()
            reached = dict(zip(batch.entity, batch.offset.tolist(), strict=True))
            self._tell(each for entity, offset in reached.items() for each in self._due(entity, offset))

    def finish(self) -> None:
        """The labels of which it is not known when they may be told."""
        self._tell(lesson for waiting in self._waiting.values() for lesson in waiting)
        self._waiting.clear()

    @property
    def untaught(self) -> list[Lesson]:
        """Labels that no step has taught."""
        return [lesson for lesson in self.expected if lesson.label not in self._taught]

    def _due(self, entity: str, offset: int) -> Iterator[Lesson]:
        waiting = self._waiting.get(entity, ())
        while waiting and (until := waiting[0].rows_until) is not None and until <= offset + 1:
            yield waiting.popleft()

    def _tell(self, lessons: Iterable[Lesson]) -> None:
        self.learner.tell([lesson.label for lesson in sorted(lessons, key=lambda each: (each.step, each.number))])
        self._steps()

    def _steps(self) -> None:
        while self.learner.ready:
            report = self.learner.step()
            self.learner.publish_if_proved()
            if report.refused is None:
                self._taught |= set(report.taught)


def _before(checkpoints: Checkpoints, registry: SqlRegistry, step: int | None) -> Checkpoint:
    """The last sound checkpoint before a step, of a line that was not rolled back."""
    if step is None:
        raise _nobody(registry.monitor)
    kept = checkpoints.whole()
    kept = [each for each in kept if each.is_of(kept[0].origin)]
    for checkpoint in kept:
        if checkpoint.step < step and not _rolled_back(registry, checkpoint.version):
            try:
                for name in checkpoint.files:
                    checkpoints.read(checkpoint, name)
            except ModelError:
                continue
            return checkpoint
    oldest = min((each.step for each in kept), default=0)
    raise InputError(
        f"step {step} taught the first label of an excluded source; expected a sound checkpoint from before it, the "
        f"oldest kept is of step {oldest}: `train --model fresh` fits history instead"
    )


def _rolled_back(registry: SqlRegistry, version: int) -> bool:
    return version > 0 and registry.get(version).status == Standing.ROLLED_BACK


def _refuse_fitted(registry: SqlRegistry, base: Checkpoint) -> None:
    for record in registry.versions():
        if record.version > base.version and record.made_by not in {TRAINER, RELEARNED}:
            raise InputError(
                f"model version {record.version}: made by `{record.made_by}` since step {base.step}, which would be "
                "lost; expected none: `train --model fresh` fits history without what was learned online"
            )


def _nobody(monitor: str) -> InputError:
    return InputError(f"monitor {monitor}: no excluded source has taught anything; expected one: see `labels exclude`")


def _ahead(end: Checkpoint, newest: Checkpoint) -> int:
    """Records that trainers took in meanwhile."""
    return sum(offset - max(end.offsets.get(each, 0), 0) for each, offset in newest.offsets.items())


def _learner(
    layout: Layout, registry: SqlRegistry, labels: SqlLabels, checkpoints: Checkpoints, base: Checkpoint
) -> Learner:
    seed = layout.monitor.model.seed
    learner = Learner(layout, seed, Unpublished(registry, base.version), labelled=True, hurried=True)
    learner.load_state_dict(unpacked(checkpoints.read(base, SHARED)))
    learner.add_shares({each: unpacked(checkpoints.read(base, file_of(each))) for each in base.offsets})
    for rows in remembered(layout, base.offsets):
        learner.remember(rows)
    recall(learner.hindsight, labels, base.step)
    return learner


def _joined(layout: Layout, first: Mapping[Partition, int], end: Mapping[Partition, int]) -> Iterator[Batch]:
    """All partitions' records in between, side by side; global values stand joined."""
    table = GlobalTable(layout)
    table.add(globals_of(layout, utc_now))
    for batch in batches_since(layout, utc_now, first, end, _READ):
        yield replace(batch, values=table.join(batch.time_ms, batch.values))


def _serve(registry: SqlRegistry, again: _Again, parent: int | None, who: str, why: str) -> ModelRecord:
    """It serves at once: a shadow would keep what is to go in service."""
    state = again.learner.state_dict()
    made = registry.publish(state["average"]["weights"], parent, state["recent"], again.newest, made_by=RELEARNED)
    if made.status != Standing.SERVING:
        return registry.promote(made.version, who, why)
    registry.note(made.version, Standing.SERVING, who, why)
    return made
