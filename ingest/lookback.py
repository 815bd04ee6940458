"""Rows read back from the log: an entity's last ones, or whole batches. No group is joined, nothing is committed."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    with _consumer(layout, partition.topic) as consumer:
        found = _records(consumer, partition, offset, entity.encode(), most)
    return Decoder(layout, clock).decode({partition: found}), globals_of(layout, clock)


def batches_between(
    layout: Layout, clock: Clock, spans: Sequence[Mapping[Partition, tuple[int, int]]]
) -> Iterator[Batch]:
    """Batches as they were read once, one for each span of offsets, [first, next) of each partition in its order.

    Raises:
        InputError: the topic no longer holds one of them.
        StackError: the broker or the topic cannot be read.
    """
    decoder = Decoder(layout, clock)
    with _consumer(layout, layout.monitor.topics.observations) as consumer:
        where = {each: client.theirs(each) for span in spans for each in span}
        consumer.assign(list(where.values()))
        begins = consumer.beginning_offsets(list(where.values()))
        for each, first in begins.items():
            consumer.seek(each, first)  # one without a position fails the poll of all
        for span in spans:
            for partition, (first, _) in span.items():
                if 0 <= first < begins[where[partition]]:
                    held = f"a topic that begins at {begins[where[partition]]}"
                    raise InputError(f"partition {partition}: expected offset {first}, got {held}")
            yield decoder.decode(
                {
                    partition: list(_between(consumer, where[partition], max(first, begins[where[partition]]), after))
                    for partition, (first, after) in span.items()
                }
            )


@contextmanager
def _consumer(layout: Layout, topic: str) -> Iterator[Any]:
    settings = layout.monitor.kafka
    try:
        consumer = client.consumer(settings, None)
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False)
    except KafkaError as error:
        expected = "a broker that answers"
        raise client.failure(settings.bootstrap_servers, f"topic {topic}", error, expected) from error


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
    consumer.pause(*(each for each in consumer.assignment() if each != where))
    consumer.resume(where)
    consumer.seek(where, lower)
    while consumer.position(where) < upper:
        for record in consumer.poll(timeout_ms=_POLL_MS).get(where, ()):
            if record.offset < upper:
                yield record


def globals_of(layout: Layout, clock: Clock) -> Sequence[GlobalRow]:
    """Everything that is known of the world; nothing where the monitor has no global topic."""
    monitor = layout.monitor
    if monitor.topics.globals is None:
        return ()
    context = ContextTopic(monitor.kafka, monitor.topics.globals, GlobalDecoder(layout, clock))
    try:
        context.catch_up(threading.Event())
        return context.drain()[0]
    finally:
        context.close()
