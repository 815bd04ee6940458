"""Rows read back from the log: an entity's last ones, or whole batches. No group is joined, nothing is committed."""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from kafka.errors import KafkaError

from ingest import client
from ingest.clock import Clock
from ingest.context import ContextTopic
from ingest.decode import Decoder
from ingest.global_rows import GlobalDecoder
from schemas.errors import InputError, StackError
from schemas.layout import Layout
from schemas.observation import Batch, GlobalRow, Partition, Ranges

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


def batches_between(layout: Layout, clock: Clock, spans: Sequence[Ranges]) -> Iterator[Batch]:
    """Batches as they were read once, one for each span of offsets, [first, next) of each partition in its order.

    Raises:
        InputError: the topic no longer holds one of them.
        StackError: the broker or the topic cannot be read.
    """
    decoder = Decoder(layout, clock)
    with ExitStack() as stack:
        tapes = {each: _Tape(stack.enter_context(_consumer(layout, each.topic)), each) for each in _named(spans)}
        for span in spans:
            yield decoder.decode({each: tapes[each].read(first, after) for each, (first, after) in span.items()})


def batches_since(
    layout: Layout, clock: Clock, first: Mapping[Partition, int], end: Mapping[Partition, int], records: int
) -> Iterator[Batch]:
    """Everything from `first` (below 0, or none: the partition's beginning) to before `end`, partitions side by side.

    A batch holds at most about `records` of a partition. Raises as `batches_between` does.
    """
    decoder = Decoder(layout, clock)
    with ExitStack() as stack:
        tapes = {each: _Tape(stack.enter_context(_consumer(layout, each.topic)), each) for each in end}
        begin = {each: at if (at := first.get(each, -1)) >= 0 else tape.begin for each, tape in tapes.items()}
        rounds = max((-(-(end[each] - begin[each]) // records) for each in end), default=0)
        cuts = {
            each: [at + (end[each] - at) * turn // max(rounds, 1) for turn in range(rounds + 1)]
            for each, at in begin.items()
        }
        for turn in range(rounds):
            spans = {each: (cut[turn], cut[turn + 1]) for each, cut in cuts.items() if cut[turn] < cut[turn + 1]}
            yield decoder.decode({each: tapes[each].read(*span) for each, span in spans.items()})


def _named(spans: Sequence[Ranges]) -> list[Partition]:
    return list(dict.fromkeys(each for span in spans for each in span))


class _Tape:
    """One partition, read onwards by a consumer of its own: what a poll brings beyond a span is kept for the next one.

    Several partitions on one consumer, all but one of them paused in turn, were seen to halt: after a seek the one that
    was resumed got nothing any more (kafka-python 3.0.12).
    """

    def __init__(self, consumer: Any, partition: Partition) -> None:
        self._consumer, self._partition, self._where = consumer, partition, client.theirs(partition)
        consumer.assign([self._where])
        self.begin = consumer.beginning_offsets([self._where])[self._where]
        self._held: deque[Any] = deque()
        self._next = -1

    def read(self, first: int, after: int) -> list[Any]:
        """The records from offset `first` (below 0: the beginning) to before `after`."""
        if 0 <= first < self.begin:
            held = f"a topic that begins at {self.begin}"
            raise InputError(f"partition {self._partition}: expected offset {first}, got {held}")
        first = max(first, self.begin)
        if first != self._next:
            self._consumer.seek(self._where, first)
            self._held.clear()
        found = self._taken(after)
        while not self._held and self._consumer.position(self._where) < after:
            self._held.extend(self._consumer.poll(timeout_ms=_POLL_MS).get(self._where, ()))
            found += self._taken(after)
        self._next = after
        return found

    def _taken(self, after: int) -> list[Any]:
        found = []
        while self._held and self._held[0].offset < after:
            found.append(self._held.popleft())
        return found


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
