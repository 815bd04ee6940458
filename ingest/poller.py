"""The thread that owns the Kafka consumer: it keeps polling whatever the reader does, so membership is never lost."""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.errors import IllegalStateError, KafkaError, OffsetOutOfRangeError, RetriableError
from kafka.structs import OffsetAndMetadata

from ingest import client
from ingest.context import ContextTopic
from ingest.exchange import Exchange
from schemas.components import KafkaSettings
from schemas.errors import BellwetherError, StackError
from schemas.observation import Partition

log = structlog.get_logger(__name__)

BEGINNING = -2
_POLL_MS = 50
_FULL_POLL_MS = 20
_PATIENCE_SECONDS = 0.05
"""How long a poll waits for the reader: without any the group would take its partitions away."""
_RETRY_SECONDS = 0.3
_LEAVE_MS = 2_000
_ASK_SECONDS = 20.0
"""Without a record for so long, the brokers are asked whether this member is still one."""
_ENDS_SECONDS = 1.0
"""How often the brokers are asked for the ends of partitions while nothing is fetched, which would tell them."""


class Poller:
    """Polls one topic into an `Exchange`.

    Args:
        settings: kafka settings.
        topic: what is read.
        assign: read exactly these partitions; empty: join the group and read what it gives.
        group: group id, and the static member's id where there is one.
        exchange: where records go to and seeks come from.
        context: the global topic, read to its end before the first record of `topic`.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        assign: Sequence[Partition],
        group: tuple[str, str | None],
        exchange: Exchange,
        context: ContextTopic | None,
    ) -> None:
        self._settings, self._topic, self._assign, self._group = settings, topic, tuple(assign), group
        self._exchange, self._context = exchange, context
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"poll-{topic}", daemon=True)
        self._hints: deque[Mapping[Partition, int]] = deque(maxlen=1)
        self._read: set[Partition] = set()
        self._held = False
        self._ask_at, self._ends_at = float("inf"), 0.0
        self._consumer: Any = None
        self.partitions = 0
        self.gaps: deque[tuple[Partition, int, int]] = deque()
        self.ends: dict[Partition, int] = {}

    def start(self) -> None:
        """Start polling."""
        self._thread.start()

    def stop(self) -> None:
        """Stop polling, leave the group."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def hint(self, offsets: Mapping[Partition, int]) -> None:
        """Commit these offsets to Kafka soon; only the latest hint counts."""
        self._hints.append(offsets)

    def _run(self) -> None:
        try:
            self._connect()
            while not self._stopping.is_set():
                self._step()
        except BellwetherError as error:
            self._exchange.fail(error)
        except Exception as error:  # noqa: BLE001 - whatever ends this thread must reach the reader
            self._exchange.fail(StackError(f"reading topic {self._topic} failed: {type(error).__name__}: {error}"))
        finally:
            self._disconnect()

    def _connect(self) -> None:
        if self._context:
            self._context.catch_up(self._stopping)
        self._join()

    def _join(self) -> None:
        group = (None, None) if self._assign else self._group
        self._consumer = client.patient_consumer(self._settings, group, self._stopping)
        if self._consumer is None:
            return
        self._ask_at = time.monotonic() + _ASK_SECONDS
        if self._assign:
            self._consumer.assign([client.theirs(partition) for partition in self._assign])
            _hold(self._consumer, self._assign)
            self._exchange.gain(self._assign)
        else:
            handover = min(self._settings.max_poll_interval_ms, self._settings.session_timeout_ms) / 2_000
            listener = _Listener(self._consumer, self._exchange, self._stopping, handover)
            self._consumer.subscribe([self._topic], listener=listener)

    def _step(self) -> None:
        self._exchange.wants_more(_PATIENCE_SECONDS)
        self._begin()
        while self._hints:
            self._commit(self._hints.popleft())
        if self._exchange.has_room():
            self._hold(False)
            self._poll(_POLL_MS)
        else:
            self._hold(True)
            self._poll(_FULL_POLL_MS)
            self._ask_ends()
        if self._context:
            self._context.poll()
        self.partitions = len(self._consumer.partitions_for_topic(self._topic) or ())
        if self._forsaken():
            self._join_again()

    def _forsaken(self) -> bool:
        """Does the group not count this member, or give it nothing where there is something left to give?

        A client that has lost its place in a group can go on polling for ever without an error.
        """
        if self._assign or time.monotonic() < self._ask_at:
            return False
        self._ask_at = time.monotonic() + _ASK_SECONDS
        counted = client.members(self._settings.bootstrap_servers, self._group[0] or "")
        if counted is None:
            return False
        return counted == 0 or (not self._consumer.assignment() and counted < self.partitions)

    def _join_again(self) -> None:
        log.warning("the group has forgotten this member, joining again", topic=self._topic, group=self._group[0])
        self._exchange.lose(sorted(self._read | set(client.ours(self._consumer.assignment()))))
        self._read.clear()
        self.ends.clear()
        self._held = False
        self._consumer.close(autocommit=False, timeout_ms=_LEAVE_MS)
        self._join()

    def _begin(self) -> None:
        while (offsets := self._exchange.next_seek()) is not None:
            for partition, offset in offsets.items():
                with suppress(ValueError, KeyError):  # lost meanwhile: the reader is told on its own way
                    self._seek(partition, offset)
                    self._read.add(partition)
            self._held = True

    def _seek(self, partition: Partition, offset: int) -> None:
        if offset == BEGINNING:
            self._consumer.seek_to_beginning(client.theirs(partition))
        else:
            self._consumer.seek(client.theirs(partition), offset)

    def _hold(self, held: bool) -> None:
        """Pause or resume what is read; pausing waits until the queue stayed full, as each switch costs a fetch."""
        if held == self._held:
            return
        switch = self._consumer.pause if held else self._consumer.resume
        for partition in self._read:
            with suppress(KeyError):
                switch(client.theirs(partition))
        self._held = held

    def _poll(self, timeout_ms: int) -> None:
        try:
            polled = self._consumer.poll(timeout_ms=timeout_ms)
        except OffsetOutOfRangeError as error:
            for partition, offset in error.args[0].items():
                self._leap(Partition(partition.topic, partition.partition), offset)
            return
        except RetriableError as error:
            log.warning("poll failed, trying again", topic=self._topic, error=type(error).__name__)
            self._stopping.wait(_RETRY_SECONDS)
            return
        if polled:
            self._ask_at = time.monotonic() + _ASK_SECONDS
            self._exchange.put({Partition(tp.topic, tp.partition): found for tp, found in polled.items()})
        self._note_ends()

    def _leap(self, partition: Partition, offset: int) -> None:
        """Go on where the topic begins now; records between were deleted before they were read."""
        where = client.theirs(partition)
        first = self._consumer.beginning_offsets([where])[where]
        end = self._consumer.end_offsets([where])[where]
        if offset > end:
            raise StackError(
                f"partition {partition}: expected offset {offset}, got a topic that ends at {end}: "
                "was it deleted and created again?"
            )
        self.gaps.append((partition, offset, first))
        log.warning("gap", partition=str(partition), from_offset=offset, to_offset=first, lost=first - offset)
        self._consumer.seek(where, first)

    def _note_ends(self) -> None:
        for partition in list(self._read):
            try:
                end = self._consumer.highwater(client.theirs(partition))
            except (IllegalStateError, KeyError):
                self._read.discard(partition)
                self.ends.pop(partition, None)
                continue
            if end is not None:
                self._note_end(partition, end)

    def _ask_ends(self) -> None:
        if time.monotonic() < self._ends_at:
            return
        self._ends_at = time.monotonic() + _ENDS_SECONDS
        wanted = [client.theirs(partition) for partition in self._read]
        with suppress(KafkaError):  # what is known stays, and is asked again
            for found, end in self._consumer.end_offsets(wanted, timeout_ms=_ENDS_SECONDS * 1_000).items():
                self._note_end(Partition(found.topic, found.partition), end)

    def _note_end(self, partition: Partition, end: int) -> None:
        """The later one counts: a fetch may be older than an answer."""
        self.ends[partition] = max(end, self.ends.get(partition, 0))

    def _commit(self, offsets: Mapping[Partition, int]) -> None:
        if self._assign:
            return
        held = {client.theirs(p): OffsetAndMetadata(o, "", -1) for p, o in offsets.items() if p in self._read}
        if held:
            self._consumer.commit_async(held)

    def _disconnect(self) -> None:
        self._stopping.set()
        try:
            if self._consumer is not None:
                self._consumer.close(autocommit=False, timeout_ms=_LEAVE_MS)
        except KafkaError as error:
            log.warning("leaving the group failed", topic=self._topic, error=type(error).__name__)
        finally:
            if self._context:
                self._context.close()


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """Passes the group's decisions on. Runs on kafka-python's own event loop, beside its heartbeats."""

    def __init__(self, consumer: Any, exchange: Exchange, stopping: threading.Event, handover_seconds: float) -> None:
        self._consumer, self._exchange, self._stopping = consumer, exchange, stopping
        self._handover_seconds = handover_seconds

    async def on_partitions_assigned(self, assigned: Sequence[Any]) -> None:
        """Hold the new partitions back until the reader has adopted them."""
        if partitions := client.ours(assigned):
            _hold(self._consumer, partitions)
            self._exchange.gain(partitions)

    async def on_partitions_revoked(self, revoked: Sequence[Any]) -> None:
        """Give the reader a moment to commit what it holds: the successor then replays nothing."""
        if not (partitions := client.ours(revoked)):
            return
        lost = self._exchange.lose(partitions)
        deadline = time.monotonic() + self._handover_seconds
        while not (lost.released.is_set() or self._stopping.is_set() or time.monotonic() > deadline):
            await self._consumer._net.sleep(0.01)  # noqa: SLF001 - the loop's only timer; a thread's wait would stop heartbeats

    async def on_partitions_lost(self, lost: Sequence[Any]) -> None:
        """The group has expelled this member: nothing it holds can be committed any more."""
        if partitions := client.ours(lost):
            self._exchange.lose(partitions)


def _hold(consumer: Any, partitions: Sequence[Partition]) -> None:
    """Pause at a made-up position: without any, kafka-python would ask for committed offsets and refuse to poll."""
    for partition in partitions:
        consumer.seek(client.theirs(partition), 0)
        consumer.pause(client.theirs(partition))
