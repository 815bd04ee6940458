"""The global topic, read from its beginning: small, and every reader needs all of it."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from kafka.errors import RetriableError

from ingest import client
from ingest.global_rows import GlobalDecoder
from schemas.components import KafkaSettings
from schemas.observation import DeadLetter, GlobalRow, Partition

log = structlog.get_logger(__name__)

_POLL_MS = 100
_RETRY_SECONDS = 1.0


class ContextTopic:
    """All methods but `drain` belong to the poller's thread."""

    def __init__(self, settings: KafkaSettings, topic: str, decoder: GlobalDecoder) -> None:
        self._settings, self._topic, self._decoder = settings, topic, decoder
        self._consumer: Any = None
        self._lock = threading.Lock()
        self._rows: list[GlobalRow] = []
        self._letters: list[DeadLetter] = []

    def catch_up(self, stopping: threading.Event) -> None:
        """Read from the beginning to the end seen now."""
        self._consumer = client.patient_consumer(self._settings, (None, None), stopping)
        if self._consumer is None:
            return
        ends = self._assign(stopping)
        while not stopping.is_set() and any(self._consumer.position(tp) < end for tp, end in ends.items()):
            self.poll(_POLL_MS)

    def _assign(self, stopping: threading.Event) -> Mapping[Any, int]:
        while not stopping.is_set():
            numbers = self._consumer.partitions_for_topic(self._topic)
            if numbers:
                where = [client.theirs(Partition(self._topic, number)) for number in sorted(numbers)]
                self._consumer.assign(where)
                self._consumer.seek_to_beginning(*where)
                ends: Mapping[Any, int] = self._consumer.end_offsets(where)
                return ends
            log.warning("waiting for the global topic", topic=self._topic)
            stopping.wait(_RETRY_SECONDS)
        return {}

    def poll(self, timeout_ms: int = 0) -> None:
        """Read what there is."""
        try:
            polled: Mapping[Any, Sequence[Any]] = self._consumer.poll(timeout_ms=timeout_ms)
        except RetriableError as error:
            log.warning("poll failed, trying again", topic=self._topic, error=type(error).__name__)
            return
        rows, letters = self._decoder.decode({Partition(tp.topic, tp.partition): r for tp, r in polled.items()})
        with self._lock:
            self._rows += rows
            self._letters += letters

    def drain(self) -> tuple[list[GlobalRow], list[DeadLetter]]:
        """Rows and dead letters since the last call."""
        with self._lock:
            drained = self._rows, self._letters
            self._rows, self._letters = [], []
        return drained

    def close(self) -> None:
        """Stop reading."""
        if self._consumer is not None:
            self._consumer.close(autocommit=False)
