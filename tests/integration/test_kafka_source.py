"""The Kafka source against a real broker: membership, order, ownership, offsets."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from kafka.errors import NoOffsetForPartitionError

from ingest import client, poller
from ingest.kafka import KafkaSource
from ingest.producer import Message, create_topics, publish
from schemas.components import KafkaSettings
from schemas.errors import StackError
from schemas.layout import Layout
from schemas.modality import Modality, Scope
from schemas.monitor import Monitor
from schemas.observation import Batch, GlobalRow, Partition
from schemas.signal import Signal
from schemas.task import Task, TaskKind
from schemas.topics import Topics

pytestmark = pytest.mark.service

PRESSURE = 1


def layout(kafka: str, topic: str, *, context: str | None = None, **settings: int) -> Layout:
    context_modality = Modality(name="context", scope=Scope.GLOBAL, signals=(Signal(name="pressure"),))
    return Layout(
        Monitor(
            monitor="ward",
            topics=Topics(observations=topic, globals=context),
            modalities=(Modality(name="vitals", signals=(Signal(name="hr"),)), context_modality),
            tasks=(Task(name="next", kind=TaskKind.FORECAST), Task(name="odd", kind=TaskKind.ANOMALY)),
            kafka=KafkaSettings.model_validate({"bootstrap_servers": kafka, "group_id": topic} | settings),
        )
    )


def messages(count: int, *, start: int = 0) -> list[Message]:
    return [
        (name, json.dumps({"entity": name.decode(), "time": 1_000 + i, "hr": i}).encode(), None)
        for i in range(start, start + count)
        for name in [b"e%d" % (i % 40)]
    ]


def now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """Offsets that several owners share, and all that was ever read, in order of commits."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.committed: dict[Partition, int] = {}
        self.read: dict[Partition, list[int]] = {}

    def commit(self, batch: Batch) -> None:
        with self.lock:
            self.committed |= dict(zip(batch.partitions, batch.next_offsets, strict=True))
            for index, offset in zip(batch.partition.tolist(), batch.offset.tolist(), strict=True):
                self.read.setdefault(batch.partitions[index], []).append(offset)

    def total(self) -> int:
        with self.lock:
            return sum(map(len, self.read.values()))


class Member:
    """An owner that reads its source in a thread of its own and commits each batch."""

    def __init__(self, source: KafkaSource, ledger: Ledger) -> None:
        self.source, self.ledger = source, ledger
        self.owned: set[Partition] = set()
        self.adopted: list[Partition] = []
        self.released: list[Partition] = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.read)

    def adopt(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        self.owned |= set(partitions)
        self.adopted += partitions
        return {partition: self.ledger.committed.get(partition, -2) for partition in partitions}

    def release(self, partitions: Sequence[Partition]) -> None:
        self.owned -= set(partitions)
        self.released += partitions

    def read(self, until: Callable[[], bool] = lambda: False) -> None:
        for batch in self.source.batches(self):
            if batch is not None:
                assert set(batch.partitions) <= self.owned
                self.ledger.commit(batch)
            if self.stopping.is_set() or until():
                return

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()
        self.source.close()


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again every 20 ms; pytest's timeout ends what never comes true."""
    while not condition():
        threading.Event().wait(0.02)


def test_a_rebalance_hands_partitions_over_in_order_and_nothing_is_lost(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 4})
    ledger = Ledger()
    first, second = (Member(KafkaSource(layout(kafka, topic, max_poll_records=100), now), ledger) for _ in range(2))
    publish(messages(2_000), kafka, topic)

    first.thread.start()
    wait_until(lambda: ledger.total() >= 500)
    second.thread.start()
    publish(messages(2_000, start=2_000), kafka, topic, rate=4_000)
    wait_until(lambda: len(second.owned) == 2)
    publish(messages(2_000, start=4_000), kafka, topic)
    wait_until(lambda: ledger.total() >= 6_000)
    owned = frozenset(first.owned), frozenset(second.owned)
    second.stop()
    publish(messages(1_000, start=6_000), kafka, topic)
    wait_until(lambda: ledger.total() >= 7_000 and len(first.owned) == 4)
    first.stop()

    assert (len(owned[0]), len(owned[1]), owned[0] & owned[1]) == (2, 2, set())
    assert ledger.read == {partition: list(range(end)) for partition, end in ledger.committed.items()}
    assert sum(ledger.committed.values()) == 7_000
    assert sorted(first.released) == sorted(second.adopted)


def test_a_slow_reader_stays_a_member(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 2})
    publish(messages(1_000), kafka, topic)
    settings = {"max_poll_interval_ms": 3_000, "max_poll_records": 50, "queue_batches": 2, "session_timeout_ms": 6_000}
    member = Member(KafkaSource(layout(kafka, topic, **settings), now), Ledger())

    member.read(until=lambda: member.ledger.total() > 0)
    threading.Event().wait(8)
    member.read(until=lambda: member.ledger.total() >= 1_000)
    member.stopping.set()
    member.source.close()

    assert (len(member.adopted), member.released) == (2, [])
    assert member.ledger.read == {p: list(range(end)) for p, end in member.ledger.committed.items()}


def test_a_static_member_that_restarts_moves_no_partition(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 4})
    ledger = Ledger()
    setup = layout(kafka, topic, session_timeout_ms=10_000)
    first, stays, returns = (
        Member(KafkaSource(setup, now, group_instance_id=name), ledger) for name in ("first", "stays", "first")
    )
    first.thread.start()
    wait_until(lambda: len(first.owned) == 4)
    stays.thread.start()
    wait_until(lambda: len(first.owned) == len(stays.owned) == 2)
    had = frozenset(first.owned)

    first.stop()
    returns.thread.start()
    wait_until(lambda: len(returns.owned) == 2)
    publish(messages(400), kafka, topic)
    wait_until(lambda: ledger.total() >= 400)
    returns.stop()
    stays.stop()

    assert (returns.owned, stays.released) == (had, [])
    assert ledger.read == {partition: list(range(end)) for partition, end in ledger.committed.items()}


def read_assigned(kafka: str, topic: str, offsets: dict[Partition, int], count: int) -> tuple[Member, KafkaSource]:
    source = KafkaSource(layout(kafka, topic), now, assign=list(offsets))
    member = Member(source, Ledger())
    member.ledger.committed = dict(offsets)
    try:
        member.read(until=lambda: member.ledger.total() >= count)
    finally:
        source.close()
    return member, source


def test_reading_starts_at_the_ledgers_offsets(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 2})
    publish(messages(400), kafka, topic)
    whole, _ = read_assigned(kafka, topic, {Partition(topic, 0): -2, Partition(topic, 1): -2}, 400)
    ends = whole.ledger.committed

    member, source = read_assigned(kafka, topic, {Partition(topic, 0): 7, Partition(topic, 1): -2}, 393)

    starts = {Partition(topic, 0): 7, Partition(topic, 1): 0}
    assert member.ledger.read == {p: list(range(start, ends[p])) for p, start in starts.items()}
    assert source.lag() == dict.fromkeys(starts, 0)


def test_the_end_of_a_partition_is_known_though_its_reader_takes_nothing(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 1})
    partition = Partition(topic, 0)
    publish(messages(400), kafka, topic)
    source = KafkaSource(layout(kafka, topic, max_poll_records=10, queue_batches=1), now, assign=[partition])
    taken = next(batch for batch in source.batches(Member(source, Ledger())) if batch is not None)
    try:
        publish(messages(300, start=400), kafka, topic)
        wait_until(lambda: source.ends()[partition] == 700)
        assert source.lag() == {partition: 700 - taken.next_offsets[0]}
    finally:
        source.close()


def test_records_deleted_before_they_were_read_are_a_reported_gap(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 1})
    partition = Partition(topic, 0)
    publish(messages(10), kafka, topic)
    admin = client.admin(kafka)
    admin.delete_records({client.theirs(partition): 6})
    admin.close()

    member, source = read_assigned(kafka, topic, {partition: 2}, 4)

    assert (member.ledger.read, source.gaps()) == ({partition: [6, 7, 8, 9]}, [(partition, 2, 6)])


def test_an_offset_beyond_the_topics_end_is_refused(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 1})
    publish(messages(10), kafka, topic)

    with pytest.raises(StackError, match="expected offset 11, got a topic that ends at 10"):
        read_assigned(kafka, topic, {Partition(topic, 0): 11}, 1)


def test_the_global_topic_is_read_before_the_first_batch(kafka: str, topic: str) -> None:
    context = f"{topic}.context"
    create_topics(kafka, {topic: 1, context: 1, f"{topic}.dlq": 1})
    publish(messages(1), kafka, topic)
    publish([(None, b'{"time": 5, "pressure": %d}' % i, None) for i in range(500)], kafka, context)
    source = KafkaSource(layout(kafka, topic, context=context), now, assign=[Partition(topic, 0)])
    member = Member(source, Ledger())

    member.read(until=lambda: member.ledger.total() == 1)
    rows = source.globals()
    source.close()

    assert rows == [GlobalRow(5, PRESSURE, float(i)) for i in range(500)]


def test_a_committed_hint_is_seen_by_kafkas_tools(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 1})
    publish(messages(10), kafka, topic)
    partition = Partition(topic, 0)
    member = Member(KafkaSource(layout(kafka, topic), now), Ledger())
    admin = client.consumer(layout(kafka, topic).monitor.kafka, topic)

    member.read(until=lambda: member.ledger.total() == 10)
    member.source.commit_hint({partition: 10})
    wait_until(lambda: admin.committed(client.theirs(partition)) == 10)
    committed = admin.committed(client.theirs(partition))
    admin.close()
    member.source.close()

    assert committed == 10


def test_an_absent_broker_is_waited_for(topic: str) -> None:
    source = KafkaSource(layout("127.0.0.1:1", topic), now)

    first = next(source.batches(Member(source, Ledger())))
    source.close()

    assert first is None


def test_a_topic_is_created_once(kafka: str, topic: str) -> None:
    made = [create_topics(kafka, {topic: 3}, {"max.message.bytes": 2_000_000}) for _ in range(2)]
    publish([(b"e1", b"x" * 1_500_000, None)], kafka, topic, max_record_bytes=2_000_000)

    assert made == [[topic], []]


def test_publishing_keeps_its_rate_and_stops_when_told(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 2})
    stopping = threading.Event()

    paced = publish(messages(300), kafka, topic, rate=1_000)
    stopped = publish(
        messages(10_000), kafka, topic, rate=1_000, stopping=stopping, on_progress=lambda sent: stopping.set()
    )

    assert (paced.records, 0.25 < paced.seconds < 3.0) == (300, True)
    assert stopped.records == 20


def test_all_records_of_a_key_lie_on_one_partition_in_order(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 4})
    publish(messages(2_000), kafka, topic)
    source = KafkaSource(layout(kafka, topic), now, assign=[Partition(topic, n) for n in range(4)])
    member = Member(source, Ledger())
    seen: dict[str, list[tuple[int, int]]] = {}
    for batch in source.batches(member):
        if batch is not None:
            member.ledger.commit(batch)
            for row, entity in enumerate(batch.entity):
                seen.setdefault(entity, []).append((int(batch.partition[row]), int(batch.time_ms[row])))
        if member.ledger.total() == 2_000:
            break
    source.close()

    assert len(seen) == 40
    assert all(before[1] < after[1] for rows in seen.values() for before, after in pairwise(rows))


def test_a_join_ends_although_its_answer_comes_between_two_polls(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 4})
    member = client.consumer(KafkaSettings(bootstrap_servers=kafka), topic, "member-0")
    member.subscribe([topic])
    deadline = time.monotonic() + 5
    while not member.assignment() and time.monotonic() < deadline:
        with suppress(NoOffsetForPartitionError):
            member.poll(timeout_ms=1)
        time.sleep(0.02)
    held = member.assignment()
    member.close()

    assert len(held) == 4


def test_a_member_that_the_group_forgot_joins_again_and_goes_on_where_the_ledger_stands(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topics(kafka, {topic: 2})
    publish(messages(10), kafka, topic)
    member = Member(KafkaSource(layout(kafka, topic), now), Ledger())
    monkeypatch.setattr(poller, "_ASK_SECONDS", 0.5)
    monkeypatch.setattr(client, "members", lambda *_: 0 if len(member.adopted) == 2 else 1)

    member.read(until=lambda: member.ledger.total() == 10 and len(member.adopted) == 4)
    publish(messages(10), kafka, topic)
    member.read(until=lambda: member.ledger.total() == 20)
    member.source.close()

    assert set(member.released) == member.owned == {Partition(topic, 0), Partition(topic, 1)}
    assert all(offsets == list(range(len(offsets))) for offsets in member.ledger.read.values())


def test_the_brokers_count_the_members_of_a_group(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 1})
    publish(messages(1), kafka, topic)
    member = Member(KafkaSource(layout(kafka, topic), now), Ledger())
    before = client.members(kafka, topic)
    member.read(until=lambda: member.ledger.total() == 1)
    joined = client.members(kafka, topic)
    member.source.close()

    assert (before, joined, client.members("127.0.0.1:1", topic)) == (0, 1, None)
