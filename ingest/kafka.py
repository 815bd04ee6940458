"""A Kafka topic as a source of batches."""

from collections.abc import Iterator, Mapping, Sequence

from ingest.clock import Clock
from ingest.context import ContextTopic
from ingest.deadletters import DeadLetterWriter
from ingest.decode import Decoder
from ingest.exchange import Bounds, Exchange, Gained, Lost
from ingest.global_rows import GlobalDecoder
from ingest.poller import Poller
from schemas.components import KafkaSettings
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch, DeadLetter, GlobalRow, Partition
from schemas.protocols import Owner

_WAITING_BYTES = 64 * 2**20
"""Records polled ahead hold at most about this much memory: a few thousand of the largest would be gigabytes."""
_LARGE_POLL = 256
"""Records from which on fetching takes long enough to be done ahead of the reader."""
_GATHER_BYTES, _GATHER_MS = 2**20, 250
"""What a broker gathers for a reader that is in no hurry, and for how long at most."""


class KafkaSource:
    """Implements `schemas.protocols.Source` over a topic's partitions.

    The owner is asked and told in the thread that reads `batches`. A partition's records come in order from the
    offset its owner gave; where retention has passed that offset, reading goes on at the topic's beginning and
    `gaps` tells of it.

    Args:
        layout: the monitor's columns; its `kafka` settings and `topics` say what is read.
        clock: what event times are held against.
        assign: read exactly these partitions; empty: join the consumer group.
        group_instance_id: static membership: a restart within the session timeout moves no partition.
        idle_ms: how long to wait before saying "nothing" (None).
        hurried: records are wanted as they come; else the broker may gather them for a moment before it answers, which
            spares it, and whoever is in a hurry beside, hundreds of small answers a second.
    """

    def __init__(
        self,
        layout: Layout,
        clock: Clock,
        *,
        assign: Sequence[Partition] = (),
        group_instance_id: str | None = None,
        idle_ms: int = 100,
        hurried: bool = True,
    ) -> None:
        monitor = layout.monitor
        settings, topics = monitor.kafka, monitor.topics
        self._decoder = Decoder(layout, clock)
        self._writer = DeadLetterWriter(settings.bootstrap_servers, topics.dlq)
        self._context = ContextTopic(settings, topics.globals, GlobalDecoder(layout, clock)) if topics.globals else None
        most = settings.max_poll_records
        self._exchange = Exchange(Bounds(settings.queue_batches * most, _WAITING_BYTES, most, _LARGE_POLL))
        group = group_id(monitor), group_instance_id
        self._poller = Poller(
            settings if hurried else _unhurried(settings),
            topics.observations,
            assign,
            group,
            self._exchange,
            self._context,
        )
        self._idle_seconds = idle_ms / 1_000
        self._positions: dict[Partition, int] = {}
        self._started = self._closed = False

    def batches(self, owner: Owner) -> Iterator[Batch | None]:
        """Yield batches of at most `max_poll_records` records; None when idle.

        Raises:
            StackError: reading cannot go on.
        """
        if not self._started:
            self._started = True
            self._poller.start()
        while not self._closed:
            taken = self._exchange.take(self._idle_seconds)
            if isinstance(taken, Gained):
                self._adopt(taken, owner)
            elif isinstance(taken, Lost):
                self._release(taken, owner)
            elif taken is None:
                yield None
            else:
                batch = self._decoder.decode(taken)
                self._positions |= dict(zip(batch.partitions, batch.next_offsets, strict=True))
                yield batch

    def _adopt(self, gained: Gained, owner: Owner) -> None:
        offsets = owner.adopt(gained.partitions)
        self._positions |= {partition: offset for partition, offset in offsets.items() if offset >= 0}
        self._exchange.seek(offsets, gained.generation)

    def _release(self, lost: Lost, owner: Owner) -> None:
        for partition in lost.partitions:
            self._positions.pop(partition, None)
        try:
            owner.release(lost.partitions)
        finally:
            lost.released.set()

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        """Write to the dead-letter topic; returns once every replica has them."""
        self._writer.write(letters)

    def globals(self) -> Sequence[GlobalRow]:
        """Global rows since the last call; their own dead letters are written here."""
        if self._context is None:
            return ()
        rows, letters = self._context.drain()
        self._writer.write(letters)
        return rows

    def commit_hint(self, offsets: Mapping[Partition, int]) -> None:
        """Tell Kafka, for its tools' sake, how far the ledger is. Costs no round trip, promises nothing."""
        self._poller.hint(dict(offsets))

    def ends(self) -> dict[Partition, int]:
        """The end of each partition as of about a second ago; none before its first fetch."""
        return dict(self._poller.ends)

    def lag(self) -> dict[Partition, int]:
        """Records behind the end of each partition."""
        ends = self.ends()
        return {p: max(0, ends[p] - offset) for p, offset in self._positions.items() if p in ends}

    @property
    def partitions(self) -> int:
        """How many the topic has, as of some seconds ago; 0: not known yet."""
        return self._poller.partitions

    def gaps(self) -> list[tuple[Partition, int, int]]:
        """Records that had been deleted before they were read, from an offset to before another; each is told once."""
        return [self._poller.gaps.popleft() for _ in range(len(self._poller.gaps))]

    def close(self) -> None:
        """Leave the group, stop the thread."""
        self._closed = True
        self._poller.stop()
        self._writer.close()


def group_id(monitor: Monitor) -> str:
    """The consumer group: as configured, else named after the monitor."""
    return monitor.kafka.group_id or f"bellwether-{monitor.monitor}"


def _unhurried(settings: KafkaSettings) -> KafkaSettings:
    least = max(settings.fetch_min_bytes, min(_GATHER_BYTES, settings.max_partition_fetch_bytes))
    wait_ms = max(settings.fetch_max_wait_ms, _GATHER_MS)
    return settings.model_copy(update={"fetch_min_bytes": least, "fetch_max_wait_ms": wait_ms})
