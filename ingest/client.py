"""kafka-python's clients, with this project's settings. Untyped beyond this file: kafka-python ships no types."""

import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError, RetriableError

from schemas.components import KafkaSettings
from schemas.errors import StackError
from schemas.observation import Partition

log = structlog.get_logger(__name__)

_PATIENCE_MS = 3_000
"""How long one attempt to reach a broker lasts; whoever may wait longer tries again."""

_LOOK_AGAIN_MS = 10_000
"""How often new topics and partitions are looked for."""

_JOIN_MS = 1_000
"""How long a join is waited for at once."""
_RECONNECT_MS = 1_000
_SAY_EVERY_SECONDS = 5.0
_RETRY_SECONDS = 0.3


class _Consumer(KafkaConsumer):  # type: ignore[misc]
    """A consumer that ends the joins it began.

    kafka-python 3.0.12 looks at a join's answer only while it waits for it. One that comes between two short polls is
    thrown away for another join, or, where new partitions were the reason, forgotten: the member then holds nothing,
    sends no heartbeat and is expelled, without an error.
    """

    def poll(self, *args: Any, **kwargs: Any) -> Any:
        """As `KafkaConsumer.poll`; while the group is being joined it may last `_JOIN_MS` longer."""
        if self._coordinator.need_rejoin() or self._coordinator.rebalance_in_progress():
            self._coordinator.request_rejoin()
            self._coordinator.poll(timeout_ms=_JOIN_MS)
        return super().poll(*args, **kwargs)


def consumer(settings: KafkaSettings, group_id: str | None, group_instance_id: str | None = None) -> Any:
    """A consumer that commits nothing by itself and never jumps to another offset by itself.

    Cooperative rebalancing: partitions that stay with a member are not taken from it.
    """
    return _Consumer(
        bootstrap_servers=_servers(settings.bootstrap_servers),
        group_id=group_id,
        group_instance_id=group_instance_id,
        partition_assignment_strategy=(CooperativeStickyAssignor,),
        enable_auto_commit=False,
        auto_offset_reset="none",
        allow_auto_create_topics=False,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=settings.heartbeat_interval_ms,
        max_poll_interval_ms=settings.max_poll_interval_ms,
        max_poll_records=settings.max_poll_records,
        fetch_max_wait_ms=settings.fetch_max_wait_ms,
        fetch_min_bytes=settings.fetch_min_bytes,
        max_partition_fetch_bytes=settings.max_partition_fetch_bytes,
        bootstrap_timeout_ms=_PATIENCE_MS,
        reconnect_backoff_max_ms=_RECONNECT_MS,
        metadata_max_age_ms=_LOOK_AGAIN_MS,
        metrics_enabled=False,
    )


def patient_consumer(
    settings: KafkaSettings, group: tuple[str | None, str | None], stopping: threading.Event
) -> Any | None:
    """A consumer once there is a broker to talk to, None when told to stop before. `group`: id and instance id."""
    while wait_for_broker(settings.bootstrap_servers, stopping):
        try:
            return consumer(settings, *group)
        except RetriableError as error:
            log.warning("broker is not ready, trying again", error=type(error).__name__)
            stopping.wait(_RETRY_SECONDS)
    return None


def wait_for_broker(bootstrap_servers: str, stopping: threading.Event) -> bool:
    """Wait until one of the servers answers; False when told to stop before.

    A plain connection, since a KafkaConsumer that gives up leaves its thread behind.
    """
    said = float("-inf")
    while not stopping.is_set():
        if any(_answers(server) for server in _servers(bootstrap_servers)):
            return True
        if time.monotonic() - said > _SAY_EVERY_SECONDS:
            said = time.monotonic()
            log.warning("waiting for a broker", bootstrap_servers=bootstrap_servers)
        stopping.wait(_RETRY_SECONDS)
    return False


def producer(bootstrap: str, max_request_bytes: int = 1_048_576) -> Any:
    """A producer that waits for every replica and writes each record once.

    kafka-python's own work on each record outweighs the codec: none, lz4 and zstd all send about 40,000 JSON records
    a CPU-second, so the one that makes topics smaller and is cheapest to read is taken.
    """
    return KafkaProducer(
        bootstrap_servers=_servers(bootstrap),
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=5,
        batch_size=131_072,
        max_request_size=max_request_bytes,
        allow_auto_create_topics=False,
        bootstrap_timeout_ms=_PATIENCE_MS,
        reconnect_backoff_max_ms=_RECONNECT_MS,
        metrics_enabled=False,
    )


def admin(bootstrap: str) -> Any:
    """A client for topics."""
    return KafkaAdminClient(bootstrap_servers=_servers(bootstrap), bootstrap_timeout_ms=_PATIENCE_MS)


def members(bootstrap: str, group_id: str) -> int | None:
    """How many members the brokers count in a group; None when they cannot be asked."""
    try:
        asking = admin(bootstrap)
        try:
            described = asking.describe_groups([group_id])[group_id]
        finally:
            asking.close()
    except KafkaError as error:
        log.warning("group cannot be described", group=group_id, error=type(error).__name__)
        return None
    return len(described["members"])


def failure(bootstrap: str, what: str, error: KafkaError, expected: str) -> StackError:
    """What the brokers refused, in one sentence: which brokers, what was asked of them, what came, what should have."""
    return StackError(f"kafka at {bootstrap}: {what}: got {type(error).__name__}; expected {expected}")


def theirs(partition: Partition) -> Any:
    """kafka-python's word for a partition."""
    return TopicPartition(partition.topic, partition.number)


def ours(found: Sequence[Any]) -> list[Partition]:
    """Our word for kafka-python's partitions, sorted."""
    return sorted(Partition(each.topic, each.partition) for each in found)


def _servers(bootstrap: str) -> list[str]:
    return [server.strip() for server in bootstrap.split(",")]


def _answers(server: str) -> bool:
    host, _, port = server.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1.0):
            return True
    except (OSError, ValueError):
        return False
