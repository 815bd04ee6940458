"""What a trainer sees of the labels topic: labels that may be learned from now, and a place to say what they taught."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

import structlog
from sqlalchemy import Engine

from infra.labels.store import SqlLabels
from ingest.clock import utc_now
from ingest.cluster import cluster_of
from ingest.label_topic import LabelTopic
from ingest.lookback import batches_between, globals_of
from schemas.errors import InputError
from schemas.label import Label, LabelStatus
from schemas.layout import Layout
from schemas.observation import Batch, Partition
from scorer.globals import GlobalTable
from scorer.ledger import Fence
from trainer.hindsight import REMEMBERED_IN_ALL, Hindsight
from trainer.label_ledger import LabelLedger
from trainer.learner import Learner
from trainer.reliability import weighed
from trainer.step_report import StepReport

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 2.0
"""How often it is looked up who was excluded or included."""
_BEFORE, _RECALLED = 50_000, 2_048
"""Records of each partition, and taught labels, that are remembered again where learning goes on."""
GUARD = "bellwether"
"""Who excludes a source that is wrong more often than right."""


class LabelFeed:
    """Belongs to the trainer's thread.

    Each label is a row before it is told, and says in which step it was taught before a checkpoint of that step is
    written: whoever goes on from a checkpoint misses none and teaches none twice. Reading begins at the first label
    that waits, or behind the last.

    Args:
        layout: the monitor; its `topics.labels` must be given.
        engine: its database.
        learner: made with `labelled`.
        fence: of its trainer: labels have one end, which another trainer may have written.
        monotonic: seconds, for the pauses between looks.
    """

    def __init__(
        self,
        layout: Layout,
        engine: Engine,
        learner: Learner,
        fence: Fence,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        monitor = layout.monitor
        assert monitor.topics.labels is not None
        self._name, self._monotonic = monitor.topics.labels, monotonic
        origin = cache(lambda: _origin(monitor.kafka.bootstrap_servers, self._name))
        self._store = SqlLabels(engine, monitor.monitor, origin, utc_now, fence)
        self._topic = LabelTopic(layout, utc_now, lambda: self._store.position(self._name), monotonic)
        classes = {task: len(each) for task, each in layout.labelled.items()}
        self._layout, self._learner = layout, learner
        self._ledger = LabelLedger(learner.hindsight, weighed(classes, self._store.beliefs()))
        self._look_at = float("-inf")

    def observe(self, batch: Batch) -> None:
        """Rows that the learner has observed."""
        self._ledger.observe(batch)

    def drain(self) -> list[Label]:
        """Labels whose rows were observed, each once.

        Raises:
            FencedError: another trainer has taken over.
            LedgerError: the database refused.
            StackError: the broker did not take a dead letter.
        """
        if self._monotonic() >= self._look_at:
            self.look()
        received = self._topic.read()
        if received:
            self._ledger.receive(self._store.receive(received))
        self._ledger.sweep()
        labels = self._ledger.due()
        self._account()
        return labels

    def report(self, steps: Sequence[StepReport]) -> None:
        """What steps made of the labels. A source that turns out to be wrong more often than right is excluded."""
        self._ledger.report(steps)
        if any(step.taught for step in steps):
            self._guard()
        self._account()

    def go_on(self, step: int, offsets: Mapping[Partition, int]) -> None:
        """Go on from a checkpoint, before anything is drained: what later steps had taught waits again.

        The rows before are remembered again from the log, for labels may still be about them, and the last labels that
        were taught about them, for they are replayed.

        Args:
            step: how many its network had taken.
            offsets: where reading goes on.
        """
        self._store.unlearn(step)
        for rows in remembered(self._layout, offsets):
            self._learner.remember(rows)
            self._ledger.observe(rows)
        recall(self._learner.hindsight, self._store, step)

    def counts(self) -> dict[str, int]:
        """Labels by what became of them since this trainer began."""
        ended = {status.value: self._ledger.counts[status] for status in LabelStatus if status.final}
        return {LabelStatus.WAITING.value: self._ledger.waiting} | ended

    def look(self) -> None:
        """Who was excluded or included meanwhile, here or elsewhere?"""
        self._look_at = self._monotonic() + _LOOK_SECONDS
        self._ledger.exclude(self._store.excluded())

    def close(self) -> None:
        """Stop reading."""
        self._topic.close()

    def _guard(self) -> None:
        for source, found in self._ledger.suspects().items():
            why = f"reliability {found.reliability:.2f} on {found.labels:.0f} labels"
            _log.warning("source of labels excluded", why=why)
            self._store.decide(source, excluded=True, author=GUARD, why=why)
            self._look_at = float("-inf")

    def _account(self) -> None:
        fates = self._ledger.fates()
        if fates:
            self._store.end(fates)


def label_feed(layout: Layout, engine: Engine, learner: Learner, fence: Fence) -> LabelFeed | None:
    """The feed of a monitor that has a labels topic."""
    return LabelFeed(layout, engine, learner, fence) if layout.monitor.topics.labels else None


def remembered(layout: Layout, offsets: Mapping[Partition, int]) -> Iterator[Batch]:
    """The last rows before where learning goes on, with global values joined: labels may still be about them."""
    table = GlobalTable(layout)
    table.add(globals_of(layout, utc_now))
    records = min(_BEFORE, REMEMBERED_IN_ALL // max(len(offsets), 1))
    for partition, offset in offsets.items():
        for batch in _before(layout, partition, offset, records) if offset > 0 else ():
            yield replace(batch, values=table.join(batch.time_ms, batch.values))


def recall(hindsight: Hindsight, store: SqlLabels, step: int) -> None:
    """The last labels that steps until this one learned from, but for those of excluded sources."""
    taught = store.taught(0, step, but_for=store.excluded(), most=_RECALLED)
    hindsight.recall([each.label for each in taught])


def _origin(bootstrap: str, topic: str) -> tuple[str, str]:
    cluster = cluster_of(bootstrap)
    return cluster.id, cluster.topic_id(topic)


def _before(layout: Layout, partition: Partition, offset: int, records: int) -> Iterator[Batch]:
    """The last records before an offset, as far as the topic still holds them."""
    try:
        yield from batches_between(layout, utc_now, [{partition: (max(offset - records, -1), offset)}])
    except InputError:
        yield from batches_between(layout, utc_now, [{partition: (-1, offset)}])
