"""The labels topic, read whole by whoever learns: small, and an entity's label may lie on any partition."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from kafka.errors import OffsetOutOfRangeError, RetriableError

from ingest import client
from ingest.clock import Clock
from ingest.deadletters import DeadLetterWriter
from ingest.labels import LabelDecoder
from ingest.producer import create_topics
from schemas.label import Annotation
from schemas.layout import Layout
from schemas.observation import Partition

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 5.0
"""How often the topic, and partitions new to it, are looked for: a label topic that is missing stops nothing."""
_POLL_SECONDS = 0.05
"""Reading more often would cost a busy learner more than a label gains by being early."""


class LabelTopic:
    """Belongs to one thread, blocks for nobody.

    Args:
        layout: the monitor; its `topics.labels` must be given.
        clock: what event times are held against.
        start: asked once the topic stands: the offsets to begin at; partitions it does not name begin at their first.
        monotonic: seconds, for the pauses between looks and polls.
    """

    def __init__(
        self,
        layout: Layout,
        clock: Clock,
        start: Callable[[], Mapping[Partition, int]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        monitor = layout.monitor
        assert monitor.topics.labels is not None
        self._topic, self._settings, self._monotonic = monitor.topics.labels, monitor.kafka, monotonic
        self._start = start
        self._decoder = LabelDecoder(layout, clock)
        self._letters = monitor.topics.labels_dlq
        self._writer = DeadLetterWriter(self._settings.bootstrap_servers, self._letters)
        self._consumer: Any = None
        self._look_at = self._poll_at = float("-inf")
        self._assigned: set[Partition] = set()

    def read(self) -> list[Annotation]:
        """What has come since; what cannot be read lies on the dead-letter topic by then.

        Raises:
            StackError: the broker did not take a dead letter.
        """
        if not self._standing():
            return []
        polled = self._poll()
        found, letters = self._decoder.decode(polled)
        self._writer.write(letters)
        return found

    def close(self) -> None:
        """Stop reading."""
        self._writer.close()
        if self._consumer is not None:
            self._consumer.close(autocommit=False)

    def _standing(self) -> bool:
        """Is there a topic to read now? Its partitions are looked for now and then."""
        now = self._monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._look()
        if not self._assigned or now < self._poll_at:
            return False
        self._poll_at = now + _POLL_SECONDS
        return True

    def _look(self) -> None:
        if self._consumer is None:
            self._consumer = client.patient_consumer(self._settings, (None, None), threading.Event())
        numbers = self._consumer.partitions_for_topic(self._topic) or ()
        found = {Partition(self._topic, number) for number in numbers}
        if not found:
            log.warning("no labels topic yet", topic=self._topic)
        elif found != self._assigned:
            begin = {} if self._assigned else self._start()
            create_topics(self._settings.bootstrap_servers, {self._letters: 1})
            self._consumer.assign([client.theirs(partition) for partition in sorted(found)])
            for partition in sorted(found - self._assigned):
                self._begin(partition, begin)
            self._assigned = found

    def _begin(self, partition: Partition, begin: Mapping[Partition, int]) -> None:
        where = client.theirs(partition)
        if partition in begin:
            self._consumer.seek(where, begin[partition])
        else:
            self._consumer.seek_to_beginning(where)

    def _poll(self) -> Mapping[Partition, Sequence[Any]]:
        try:
            polled: Mapping[Any, Sequence[Any]] = self._consumer.poll(timeout_ms=0)
        except OffsetOutOfRangeError as error:
            log.warning("labels were deleted before they were read", topic=self._topic)
            self._consumer.seek_to_beginning(*error.args[0])
            return {}
        except RetriableError as error:
            log.warning("poll failed, trying again", topic=self._topic, error=type(error).__name__)
            return {}
        return {Partition(tp.topic, tp.partition): records for tp, records in polled.items()}
