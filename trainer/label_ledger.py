"""The label ledger: each label waits until the rows it speaks of were observed, is told once, and its end is accounted.

Forecasts' targets and those of rules need none of this: a window is complete once what it is judged by has been seen.
Labels and people's verdicts come when they come, perhaps before their row. Until it is told, the last word about the
same entity, task and time counts. What waits is bounded, by number and by the rows observed meanwhile.
"""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence

import numpy as np

from schemas.label import Annotation, Fate, Label, LabelStatus
from schemas.observation import Batch, Partition, Status
from trainer.hindsight import Hindsight
from trainer.reliability import Reliability, Sources
from trainer.step_report import StepReport

_MOST = 50_000
"""Labels that wait, and labels that were told and are in no step yet: about 40 MB each."""
_PATIENCE_ROWS = 400_000
"""Rows observed while a label waits for its own: as many as hindsight remembers."""
_NEVER_MS = np.iinfo(np.int64).min
_About = tuple[str, str, str, int | None]


class LabelLedger:
    """Between the topic and the learner.

    Args:
        hindsight: knows which rows were observed.
        sources: what is known of who tells labels.
    """

    def __init__(self, hindsight: Hindsight, sources: Sources) -> None:
        self._hindsight, self._sources = hindsight, sources
        self._waiting: OrderedDict[_About, tuple[Annotation, int]] = OrderedDict()
        self._told: OrderedDict[Label, Annotation] = OrderedDict()
        self._behind: dict[str, set[_About]] = {}  # an entity's rows have not come as far
        self._early: dict[Partition, list[tuple[int, int, _About]]] = {}  # a partition's time has not passed
        self._watermark_ms: dict[Partition, int] = {}
        self._look: set[_About] = set()
        self._rows = self._deferred = 0
        self._excluded: frozenset[str] = frozenset()
        self._fates: list[Fate] = []
        self.counts: Counter[LabelStatus] = Counter()
        """Labels by what became of them."""

    def receive(self, annotations: Iterable[Annotation]) -> None:
        """Take labels in, in the order in which they were said."""
        for annotation in annotations:
            about = annotation.label.about
            if annotation.label.source in self._excluded:
                self._end(annotation, LabelStatus.EXCLUDED)
                continue
            if about in self._waiting:
                self._end(self._drop(about), LabelStatus.SUPERSEDED)
            self._waiting[about] = annotation, self._rows
            self._look.add(about)
        self._expire()

    def observe(self, batch: Batch) -> None:
        """Rows that the learner has observed: time goes on."""
        sound = batch.status == Status.OK
        self._rows += int(sound.sum())
        for place, partition in enumerate(batch.partitions):
            times = batch.time_ms[sound & (batch.partition == place)]
            if len(times):
                self._watermark_ms[partition] = max(self._watermark_ms.get(partition, _NEVER_MS), int(times.max()))
        if self._waiting:
            for entity in batch.entity:
                if entity in self._behind:
                    self._look |= self._behind.pop(entity)
            self._expire()

    def due(self) -> list[Label]:
        """Labels that may be learned from now, in the order in which they came."""
        for partition, queue in self._early.items():
            while queue and queue[0][0] <= self._watermark_ms.get(partition, _NEVER_MS):
                self._look.add(heapq.heappop(queue)[2])
        looked, self._look = self._look, set()
        ready = [about for about in looked if about in self._waiting and self._is_due(about)]
        annotations = sorted((self._drop(about) for about in ready), key=lambda each: (each.partition, each.offset))
        return [annotation.label for annotation in annotations if self._tell(annotation)]

    def report(self, steps: Sequence[StepReport]) -> None:
        """What steps made of the labels that were told; and of those that turned out to teach nothing."""
        for step in steps:
            status = LabelStatus.TAUGHT if step.refused is None else LabelStatus.REFUSED
            fresh = step.told[0] if step.told is not None else ()
            until = {label: piece.offsets[1] for piece in fresh for label, _ in piece.labels}
            for label, belief in step.taught.items():
                if (annotation := self._told.pop(label, None)) is not None:
                    self._end(annotation, status, step.step, belief, until.get(label))
                if step.refused is None:
                    self._sources.add(label.source, label.task, label.value, belief)
        self.sweep()

    def sweep(self) -> None:
        """End what turned out to teach nothing; before anything is told anew, for the same may be said again."""
        ends = {LabelStatus.UNMATCHED: self._hindsight.useless, LabelStatus.SUPERSEDED: self._hindsight.superseded}
        for status, labels in ends.items():
            while labels:
                if (annotation := self._told.pop(labels.popleft(), None)) is not None:
                    self._end(annotation, status)

    def suspects(self) -> dict[str, Reliability]:
        """Sources that turned out to be wrong more often than right and are not excluded."""
        return {name: each for name, each in self._sources.suspects().items() if name not in self._excluded}

    def exclude(self, sources: frozenset[str]) -> None:
        """From now on these sources' labels alone are not told, and what they told before is not taught again.

        A source that is included again is judged by what it tells from now on.
        """
        for source in self._excluded - sources:
            self._sources.forget(source)
        for source in sources - self._excluded:
            self._hindsight.forget(source)
            for about in [about for about, (each, _) in self._waiting.items() if each.label.source == source]:
                self._end(self._drop(about), LabelStatus.EXCLUDED)
            for label in [label for label in self._told if label.source == source]:
                self._end(self._told.pop(label), LabelStatus.EXCLUDED)
        self._excluded = sources

    def fates(self) -> list[Fate]:
        """What became of labels since the last call."""
        found, self._fates = self._fates, []
        return found

    @property
    def waiting(self) -> int:
        """Labels whose end is open."""
        return len(self._waiting) + len(self._told)

    def _is_due(self, about: _About) -> bool:
        """Has the time of all it speaks of passed, and has its entity gone as far? If not, it waits for just that."""
        label, due_ms = self._waiting[about][0].label, self._waiting[about][0].due_ms
        newest = self._hindsight.newest(label.entity)
        if newest is not None and due_ms > self._watermark_ms.get(newest[0], _NEVER_MS):
            self._defer(newest[0], due_ms, about)
            return False
        if newest is None or (label.time_ms is not None and label.time_ms > newest[1]):
            self._behind.setdefault(label.entity, set()).add(about)
            return False
        return True

    def _defer(self, partition: Partition, due_ms: int, about: _About) -> None:
        queue = self._early.setdefault(partition, [])
        self._deferred += 1
        heapq.heappush(queue, (due_ms, self._deferred, about))
        if len(queue) > 2 * _MOST:  # most of them superseded
            queue[:] = {each[2]: each for each in queue if each[2] in self._waiting}.values()
            heapq.heapify(queue)

    def _tell(self, annotation: Annotation) -> bool:
        label = annotation.label
        if label.time_ms is not None and not self._hindsight.holds(label.entity, label.time_ms):
            self._end(annotation, LabelStatus.UNMATCHED)
            return False
        if label in self._told:  # said twice
            self._end(self._told.pop(label), LabelStatus.SUPERSEDED)
        self._told[label] = annotation
        if len(self._told) > _MOST:
            self._end(self._told.popitem(last=False)[1], LabelStatus.EXPIRED)
        return True

    def _end(
        self,
        annotation: Annotation,
        status: LabelStatus,
        step: int | None = None,
        belief: float | None = None,
        rows_until: int | None = None,
    ) -> None:
        self.counts[status] += 1
        self._fates.append(Fate(annotation, status, step, belief, rows_until))

    def _drop(self, about: _About) -> Annotation:
        annotation, _ = self._waiting.pop(about)
        mine = self._behind.get(annotation.label.entity)
        if mine is not None:
            mine.discard(about)
            if not mine:
                del self._behind[annotation.label.entity]
        return annotation

    def _expire(self) -> None:
        while self._waiting:
            about, (_, since) = next(iter(self._waiting.items()))
            if len(self._waiting) <= _MOST and self._rows - since < _PATIENCE_ROWS:
                return
            self._end(self._drop(about), LabelStatus.EXPIRED)
