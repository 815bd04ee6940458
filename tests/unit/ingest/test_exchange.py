"""Partitions are gained and lost between batches, and nothing of a lost partition is read."""

import pytest

from ingest.exchange import Bounds, Exchange, Gained, Lost, Polled
from ingest.record import PlainRecord
from schemas.errors import StackError
from schemas.observation import Partition

A, B = Partition("vitals", 0), Partition("vitals", 1)


def records(*partitions: Partition, offset: int = 0) -> Polled:
    return {partition: [PlainRecord(b"k", b"v", offset)] for partition in partitions}


def bounds(waiting: int = 2, taken: int = 1, size: int = 1000, ahead: int = 1) -> Bounds:
    return Bounds(waiting_records=waiting, waiting_bytes=size, taken_records=taken, ahead_records=ahead)


def opened(*partitions: Partition, limits: Bounds | None = None) -> Exchange:
    exchange = Exchange(limits or bounds())
    exchange.gain(partitions)
    gained = exchange.take(0)
    assert isinstance(gained, Gained)
    exchange.seek(dict.fromkeys(partitions, 0), gained.generation)
    assert exchange.next_seek() == dict.fromkeys(partitions, 0)
    return exchange


def test_records_come_out_in_the_order_they_went_in() -> None:
    exchange = opened(A)
    exchange.put(records(A, offset=1))
    exchange.put(records(A, offset=2))

    assert [exchange.take(0), exchange.take(0), exchange.take(0)] == [records(A, offset=1), records(A, offset=2), None]


def test_records_of_a_partition_that_was_not_adopted_are_dropped() -> None:
    exchange = opened(A)
    exchange.gain([B])
    exchange.put(records(A, B))

    assert [exchange.take(0), exchange.take(0)] == [Gained((B,), 2), records(A)]


def test_a_loss_drops_queued_records_and_overtakes_the_rest() -> None:
    exchange = opened(A, B)
    exchange.put(records(A, B))
    lost = exchange.lose([A])
    exchange.put(records(A, B, offset=1))

    assert [exchange.take(0) for _ in range(3)] == [lost, records(B), records(B, offset=1)]


def test_a_seek_of_an_older_generation_is_void() -> None:
    exchange = Exchange(bounds())
    exchange.gain([A])
    exchange.lose([A])
    exchange.gain([A])
    changes = [exchange.take(0) for _ in range(3)]
    exchange.seek({A: 5}, 1)
    exchange.seek({A: 7}, 2)

    assert [type(change) for change in changes] == [Gained, Lost, Gained]
    assert [exchange.next_seek() for _ in range(3)] == [{}, {A: 7}, None]


def test_there_is_room_until_enough_records_wait() -> None:
    exchange = opened(A)
    room = []
    for _ in range(2):
        room.append(exchange.has_room())
        exchange.put(records(A))
    room.append(exchange.has_room())
    exchange.take(0)
    room.append(exchange.has_room())

    assert room == [True, True, False, True]


def test_a_small_poll_is_followed_by_another_once_the_reader_waits() -> None:
    exchange = opened(A, limits=bounds(waiting=100, ahead=2))
    exchange.put(records(A))
    taken = [exchange.take(0)]
    wanted = [exchange.wants_more(0)]
    taken.append(exchange.take(0))

    assert (taken, [*wanted, exchange.wants_more(0)]) == ([records(A), None], [False, True])


def test_a_large_poll_is_followed_by_another_at_once() -> None:
    exchange = opened(A, B, limits=bounds(waiting=100, ahead=2))
    exchange.put(records(A, B))

    assert exchange.wants_more(0)


def test_a_seek_waits_for_no_reader() -> None:
    exchange = opened(A)
    exchange.gain([B])
    gained = exchange.take(0)
    assert isinstance(gained, Gained)
    before = exchange.wants_more(0)
    exchange.seek({B: 0}, gained.generation)

    assert [before, exchange.wants_more(0)] == [False, True]


def test_the_pollers_error_reaches_the_reader() -> None:
    exchange = opened(A)
    exchange.fail(StackError("broker gone"))

    with pytest.raises(StackError, match="broker gone"):
        exchange.take(0)


def test_all_that_waits_is_taken_at_once_in_order_but_no_more_than_a_batch() -> None:
    exchange = opened(A, B, limits=bounds(waiting=100, taken=3))
    for offset in range(4):
        exchange.put(records(A, offset=offset))
    exchange.put(records(A, B, offset=4))
    taken = [exchange.take(0) for _ in range(2)]

    assert [[record.offset for record in each[A]] for each in taken] == [[0, 1, 2], [3, 4]]
    assert [list(each) for each in taken] == [[A], [A, B]]


def test_large_records_fill_it_sooner() -> None:
    exchange = opened(A, limits=bounds(waiting=100, size=10))
    exchange.put({A: [PlainRecord(b"k", b"v" * 9, 0)]})
    room = [exchange.has_room()]
    exchange.put({A: [PlainRecord(b"k", b"v", 1)]})

    assert [*room, exchange.has_room()] == [True, False]
