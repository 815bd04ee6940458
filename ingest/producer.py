"""Writing records to a topic, and making topics."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from kafka.errors import KafkaError, TopicAlreadyExistsError

from ingest import client
from ingest.record import Headers

Message = tuple[bytes | None, bytes, int | None] | tuple[bytes | None, bytes, int | None, Headers]
"""Key, value, timestamp in epoch milliseconds (None: now), and headers where there are any."""

_SLICE_SECONDS = 0.02
_UNPACED = 500
_FLUSH_SECONDS = 60.0
_OVERHEAD = 65_536


@dataclass(frozen=True, slots=True)
class Published:
    """Records that every replica has, and how long that took."""

    records: int
    seconds: float


def publish(
    records: Iterable[Message],
    bootstrap: str,
    topic: str,
    *,
    rate: float | None = None,
    stopping: threading.Event | None = None,
    on_progress: Callable[[int], None] | None = None,
    max_record_bytes: int = 1_000_000,
) -> Published:
    """Send records in order, the partition by the key's murmur2 hash, and wait until all are stored.

    Args:
        records: what to send; read as it is sent.
        bootstrap: a broker's host:port.
        topic: an existing topic.
        rate: records a second; None: as fast as it goes.
        stopping: set it to end early; what was sent is still waited for.
        on_progress: told the number of records sent, some fifty times a second.
        max_record_bytes: largest value.

    Raises:
        StackError: the broker refused a record or cannot be reached.
    """
    stopping = stopping or threading.Event()
    try:
        producer = client.producer(bootstrap, max_record_bytes + _OVERHEAD)
        try:
            return _Publishing(producer, topic, rate, stopping, on_progress).run(records)
        finally:
            producer.close()
    except KafkaError as error:
        expected = "an existing topic with room, on a broker that answers"
        raise client.failure(bootstrap, f"topic {topic}", error, expected) from error


class _Publishing:
    """One run of `publish`: sends slices of records, each at its time."""

    def __init__(
        self,
        producer: Any,
        topic: str,
        rate: float | None,
        stopping: threading.Event,
        on_progress: Callable[[int], None] | None,
    ) -> None:
        self._producer, self._topic, self._rate, self._stopping = producer, topic, rate, stopping
        self._on_progress = on_progress
        self._failures: list[Exception] = []
        self._sent = 0

    def run(self, records: Iterable[Message]) -> Published:
        started = time.monotonic()
        waiting = iter(records)
        while not self._stopping.is_set() and not self._failures and self._slice(waiting):
            if self._on_progress:
                self._on_progress(self._sent)
            if self._rate:
                self._stopping.wait(max(0.0, started + self._sent / self._rate - time.monotonic()))
        self._producer.flush(timeout=_FLUSH_SECONDS)
        if self._failures:
            raise self._failures[0]
        return Published(self._sent, time.monotonic() - started)

    def _slice(self, waiting: Iterable[Message]) -> bool:
        size = max(1, int(self._rate * _SLICE_SECONDS)) if self._rate else _UNPACED
        before = self._sent
        for record in islice(waiting, size):
            key, value, timestamp_ms = record[:3]
            headers = record[3] if len(record) == 4 else []
            future = self._producer.send(self._topic, value=value, key=key, timestamp_ms=timestamp_ms, headers=headers)
            future.add_errback(self._failures.append)
            self._sent += 1
        return self._sent > before


def create_topics(
    bootstrap: str, topics: Mapping[str, int], configs: Mapping[str, str | int] | None = None
) -> list[str]:
    """Create topics (name -> number of partitions); return those that were new. An existing one stays as it is.

    Args:
        bootstrap: a broker's host:port.
        topics: name -> partitions.
        configs: topic settings, e.g. ``{"max.message.bytes": 2_000_000}``.

    Raises:
        StackError: the broker refused or cannot be reached.
    """
    settings = {name: str(value) for name, value in (configs or {}).items()}
    try:
        admin = client.admin(bootstrap)
        try:
            return [name for name, partitions in topics.items() if _create(admin, name, partitions, settings)]
        finally:
            admin.close()
    except KafkaError as error:
        what = f"making topics {', '.join(sorted(topics))}"
        raise client.failure(bootstrap, what, error, "a broker that answers and lets topics be made") from error


def _create(admin: Any, name: str, partitions: int, settings: Mapping[str, str]) -> bool:
    topic = {name: {"num_partitions": partitions, "configs": dict(settings)}}
    try:
        admin.create_topics(topic, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return False
    return True
