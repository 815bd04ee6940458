"""What a trainer sees of the labels topic: labels that may be learned from now, and a place to say what they taught."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import structlog
from sqlalchemy import Engine

from infra.labels.store import SqlLabels
from ingest.clock import utc_now
from ingest.cluster import cluster_of
from ingest.label_topic import LabelTopic
from schemas.label import Label, LabelStatus
from schemas.layout import Layout
from schemas.observation import Batch, Partition
from trainer.label_ledger import LabelLedger
from trainer.learner import Learner, StepReport
from trainer.reliability import weighed

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 2.0
"""How often it is looked up who was excluded or included."""
GUARD = "bellwether"
"""Who excludes a source that is wrong more often than right."""


class LabelFeed:
    """Belongs to the trainer's thread.

    Each label is a row before it is told, and a step's labels are marked as taught before the step's offsets are
    committed: whoever goes on from `position` and the step of a checkpoint misses none and teaches none twice.

    Args:
        layout: the monitor; its `topics.labels` must be given.
        engine: its database.
        learner: made with `labelled`.
        monotonic: seconds, for the pauses between looks.
    """

    def __init__(
        self, layout: Layout, engine: Engine, learner: Learner, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        monitor = layout.monitor
        assert monitor.topics.labels is not None
        self._name, self._monotonic = monitor.topics.labels, monotonic
        origin = cache(lambda: _origin(monitor.kafka.bootstrap_servers, self._name))
        self._store = SqlLabels(engine, monitor.monitor, origin, utc_now)
        self._topic = LabelTopic(layout, utc_now, lambda: self._store.position(self._name), monotonic)
        classes = {task: len(each) for task, each in layout.labelled.items()}
        self._ledger = LabelLedger(learner.hindsight, weighed(classes, self._store.beliefs()))
        self._look_at = float("-inf")

    def observe(self, batch: Batch) -> None:
        """Rows that the learner has observed."""
        self._ledger.observe(batch)

    def drain(self) -> list[Label]:
        """Labels whose rows were observed, each once.

        Raises:
            LedgerError: the database refused.
            StackError: the broker did not take a dead letter.
        """
        self._look()
        received = self._topic.read()
        if received:
            self._ledger.receive(self._store.receive(received))
        labels = self._ledger.due()
        self._account()
        return labels

    def report(self, steps: Sequence[StepReport]) -> None:
        """What steps made of the labels. A source that turns out to be wrong more often than right is excluded."""
        self._ledger.report(steps)
        if any(step.taught for step in steps):
            self._guard()
        self._account()

    def position(self) -> Mapping[Partition, int]:
        """Where reading has to begin again: of each partition the first label that is neither taught nor given up."""
        return {**self._topic.position(), **self._ledger.first_open()}

    def seek(self, position: Mapping[Partition, int], step: int) -> None:
        """Go on from a checkpoint: its `position`, and the steps its network had taken.

        What later steps had taught is taught again; partitions that are not named are read from their beginning.
        """
        self._store.unlearn(step)
        self._ledger.clear()
        self._topic.seek(position)

    def counts(self) -> dict[str, int]:
        """Labels by what became of them since this trainer began."""
        ended = {status.value: self._ledger.counts[status] for status in LabelStatus if status.final}
        return {LabelStatus.WAITING.value: self._ledger.waiting} | ended

    def close(self) -> None:
        """Stop reading."""
        self._topic.close()

    def _look(self) -> None:
        """Who was excluded or included meanwhile, here or elsewhere?"""
        now = self._monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        self._ledger.exclude(self._store.excluded())

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


def label_feed(layout: Layout, engine: Engine, learner: Learner) -> LabelFeed | None:
    """The feed of a monitor that has a labels topic."""
    return LabelFeed(layout, engine, learner) if layout.monitor.topics.labels else None


def _origin(bootstrap: str, topic: str) -> tuple[str, str]:
    cluster = cluster_of(bootstrap)
    return cluster.id, cluster.topic_id(topic)
