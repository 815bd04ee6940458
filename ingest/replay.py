"""Reading dead letters back, and sending them to where they came from."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from kafka.errors import KafkaError

from ingest import client
from ingest.deadletters import OURS, TRUNCATED
from schemas.components import KafkaSettings
from schemas.errors import InputError, StackError
from schemas.observation import DeadLetter, Partition

_POLL_MS = 500


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A letter as found on the dead-letter topic. `whole_bytes` above 0: key or value was cut to fit."""

    id: str
    letter: DeadLetter
    whole_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did, in records. `matched` letters may be of fewer records: one for each bad signal."""

    matched: int
    replayed: int
    truncated: int


def read_dead_letters(bootstrap: str, topic: str, limit: int | None = None) -> list[StoredLetter]:
    """The letters of a topic, oldest first within each partition, each id once.

    Args:
        bootstrap: a broker's host:port.
        topic: the dead-letter topic.
        limit: the most letters to return; None: all.

    Raises:
        StackError: the broker or the topic cannot be read.
    """
    found: dict[str, StoredLetter] = {}
    try:
        for record in _records(bootstrap, topic):
            if (stored := _stored(record)) is not None:
                found.setdefault(stored.id, stored)
            if limit is not None and len(found) >= limit:
                break
    except KafkaError as error:
        raise client.failure(bootstrap, f"dead-letter topic {topic}", error, "a broker that answers") from error
    return list(found.values())


def replay_dead_letters(
    bootstrap: str, topic: str, *, reasons: Collection[str] = (), ids: Collection[str] = ()
) -> Replayed:
    """Send the selected letters' records, as they were, to the topics they came from. Each record is sent once.

    Args:
        bootstrap: a broker's host:port.
        topic: the dead-letter topic.
        reasons: only letters with one of these reasons; empty: any.
        ids: only letters with one of these ids; empty: any.

    Raises:
        InputError: a letter asked for by id was cut when it was written: its record is no longer whole.
        StackError: the broker or a topic cannot be read or written.
    """
    chosen = [
        stored
        for stored in read_dead_letters(bootstrap, topic)
        if (not reasons or stored.letter.reason in reasons) and (not ids or stored.id in ids)
    ]
    cut = [stored for stored in chosen if stored.whole_bytes]
    if cut and ids:
        raise InputError(
            f"dead letter {cut[0].id}: expected a whole record, got one cut from {cut[0].whole_bytes} bytes: "
            "it can only be sent again by its producer"
        )
    origins = {(s.letter.partition, s.letter.offset): s.letter for s in chosen if not s.whole_bytes}
    _send(bootstrap, list(origins.values()))
    return Replayed(matched=len(chosen), replayed=len(origins), truncated=len(cut))


def _send(bootstrap: str, letters: list[DeadLetter]) -> None:
    if not letters:
        return
    try:
        producer = client.producer(bootstrap)
        try:
            futures = [_resend(producer, letter) for letter in letters]
            producer.flush()
            for future in futures:
                future.get(timeout=0)
        finally:
            producer.close()
    except KafkaError as error:
        topics = ", ".join(sorted({letter.partition.topic for letter in letters}))
        what = f"{len(letters)} records back to {topics}"
        raise client.failure(bootstrap, what, error, "existing topics on a broker that answers") from error


def _resend(producer: Any, letter: DeadLetter) -> Any:
    """A record without key goes back to its own partition, any other to where its key belongs."""
    return producer.send(
        letter.partition.topic,
        key=letter.key,
        value=letter.value,
        partition=letter.partition.number if letter.key is None else None,
        timestamp_ms=letter.timestamp_ms if letter.timestamp_ms >= 0 else None,
        headers=list(letter.headers),
    )


def _records(bootstrap: str, topic: str) -> Iterator[Any]:
    """Every record up to the ends seen at the start."""
    consumer = client.consumer(KafkaSettings(bootstrap_servers=bootstrap), None)
    try:
        where = [client.theirs(Partition(topic, n)) for n in sorted(consumer.partitions_for_topic(topic) or ())]
        if not where:
            raise StackError(f"kafka at {bootstrap}: dead-letter topic {topic}: got none; expected what `run` makes")
        consumer.assign(where)
        consumer.seek_to_beginning(*where)
        ends = consumer.end_offsets(where)
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            for found in consumer.poll(timeout_ms=_POLL_MS).values():
                yield from found
    finally:
        consumer.close(autocommit=False)


def _stored(record: Any) -> StoredLetter | None:
    """None for a record that somebody else put on the topic."""
    headers = dict(record.headers)
    try:
        letter = DeadLetter(
            partition=Partition(
                headers["__connect.errors.topic"].decode(), int(headers["__connect.errors.partition"].decode())
            ),
            offset=int(headers["__connect.errors.offset"].decode()),
            reason=headers["bellwether.reason"].decode(),
            detail=headers["bellwether.detail"].decode(),
            signal=headers["bellwether.signal"].decode(),
            key=record.key,
            value=record.value,
            timestamp_ms=int.from_bytes(headers["kafka_dlt-original-timestamp"], "big", signed=True),
            headers=tuple((name, value) for name, value in record.headers if not name.startswith(OURS)),
        )
        return StoredLetter(headers["bellwether.id"].decode(), letter, int(headers.get(TRUNCATED, b"0")))
    except (KeyError, ValueError):
        return None
