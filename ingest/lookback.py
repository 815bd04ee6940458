"""An entity's last rows up to an offset, read back from the log: no group is joined, nothing is committed."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from kafka.errors import KafkaError

from ingest import client
from ingest.clock import Clock
from ingest.context import ContextTopic
from ingest.decode import Decoder
from ingest.global_rows import GlobalDecoder
from schemas.errors import InputError, StackError
from schemas.layout import Layout
from schemas.observation import Batch, GlobalRow, Partition

_POLL_MS = 500
_FIRST_REACH = 4_000
"""Records looked through at first; each further reach is four times as long."""
_FARTHEST = 400_000
"""Records looked through at most: an entity that shows a row a day need not be followed through all of a busy topic."""


def rows_before(
    layout: Layout, clock: Clock, partition: Partition, offset: int, entity: str, most: int
) -> tuple[Batch, Sequence[GlobalRow]]:
    """The entity's last `most` records up to and with `offset`, decoded; and what is known of the world.

    Raises:
        InputError: the topic no longer holds the offset, or it holds another entity's record.
        StackError: the broker or the topic cannot be read.
    """
    settings = layout.monitor.kafka
    try:
        consumer = client.consumer(settings, None)
        try:
            found = _records(consumer, partition, offset, entity.encode(), most)
        finally:
            consumer.close(autocommit=False)
    except KafkaError as error:
        expected = "a broker that answers"
        raise client.failure(settings.bootstrap_servers, f"topic {partition.topic}", error, expected) from error
    return Decoder(layout, clock).decode({partition: found}), _globals(layout, clock)


def _records(consumer: Any, partition: Partition, offset: int, key: bytes, most: int) -> list[Any]:
    if partition.number not in (consumer.partitions_for_topic(partition.topic) or ()):
        raise StackError(f"partition {partition}: got none of that name; expected the one the alert came from")
    where = client.theirs(partition)
    consumer.assign([where])
    first, end = consumer.beginning_offsets([where])[where], consumer.end_offsets([where])[where]
    if not first <= offset < end:
        held = f"{first} to {end - 1}" if end > first else "none"
        raise InputError(
            f"partition {partition}: offset {offset} is not in the topic, which holds {held}; expected one within its "
            "retention: give the entity's rows in files instead, with --input"
        )
    found: list[Any] = []
    reach, upper = _FIRST_REACH, offset + 1
    first = max(first, upper - _FARTHEST)
    while len(found) < most and upper > first:
        lower = max(first, upper - reach)
        found = [record for record in _between(consumer, where, lower, upper) if record.key == key] + found
        reach, upper = reach * 4, lower
    if not found or found[-1].offset != offset:
        raise InputError(f"partition {partition}: offset {offset} is not of the alert's entity; expected its record")
    return found[-most:]


def _between(consumer: Any, where: Any, lower: int, upper: int) -> Iterator[Any]:
    consumer.seek(where, lower)
    while consumer.position(where) < upper:
        for record in consumer.poll(timeout_ms=_POLL_MS).get(where, ()):
            if record.offset < upper:
                yield record


def _globals(layout: Layout, clock: Clock) -> Sequence[GlobalRow]:
    monitor = layout.monitor
    if monitor.topics.globals is None:
        return ()
    context = ContextTopic(monitor.kafka, monitor.topics.globals, GlobalDecoder(layout, clock))
    try:
        context.catch_up(threading.Event())
        return context.drain()[0]
    finally:
        context.close()
