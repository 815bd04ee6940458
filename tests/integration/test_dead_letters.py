"""Dead letters through a real broker: written once, listed, and sent back to where they came from."""

import json
from dataclasses import replace

import pytest

from ingest import client
from ingest.deadletters import LONGEST, DeadLetterWriter
from ingest.producer import create_topics, publish
from ingest.replay import Replayed, StoredLetter, read_dead_letters, replay_dead_letters
from schemas.components import KafkaSettings
from schemas.errors import InputError, StackError
from schemas.observation import DeadLetter, Partition

pytestmark = pytest.mark.service


def record_of(topic: str, offset: int, reason: str, signal: str = "", size: int = 0) -> DeadLetter:
    value = json.dumps({"entity": "e1", "offset": offset, "x": "x" * size}).encode()
    return DeadLetter(Partition(topic, 0), offset, reason, "expected better", signal, b"e1", value, 1_000 + offset)


@pytest.fixture
def letters(kafka: str, topic: str) -> list[DeadLetter]:
    """Two signals of one record, a whole record, and one too large to keep; the first is written twice."""
    create_topics(kafka, {topic: 2, f"{topic}.dlq": 1})
    found = [
        record_of(topic, 5, "wrong-type", "hr"),
        record_of(topic, 5, "implausible", "rr"),
        record_of(topic, 6, "wrong-clock"),
        record_of(topic, 7, "too-large", size=2 * LONGEST),
    ]
    writer = DeadLetterWriter(kafka, f"{topic}.dlq")
    writer.write(found)
    writer.write(found[:1])
    writer.close()
    return found


def ids(stored: list[StoredLetter], reason: str) -> list[str]:
    return [each.id for each in stored if each.letter.reason == reason]


def records(kafka: str, topic: str, count: int) -> list[tuple[bytes, bytes, int]]:
    consumer = client.consumer(KafkaSettings(bootstrap_servers=kafka), None)
    where = [client.theirs(Partition(topic, number)) for number in consumer.partitions_for_topic(topic)]
    consumer.assign(where)
    consumer.seek_to_beginning(*where)
    found: list[tuple[bytes, bytes, int]] = []
    while len(found) < count:
        found += [(r.key, r.value, r.timestamp) for part in consumer.poll(timeout_ms=100).values() for r in part]
    consumer.close()
    return found


def test_letters_are_listed_once_as_they_were_written(kafka: str, topic: str, letters: list[DeadLetter]) -> None:
    stored = read_dead_letters(kafka, f"{topic}.dlq")

    large = letters[3]
    cut = replace(large, value=(large.value or b"")[:LONGEST])
    assert [each.letter for each in stored] == [*letters[:3], cut]
    assert [each.whole_bytes for each in stored] == [0, 0, 0, len(large.value or b"")]
    assert read_dead_letters(kafka, f"{topic}.dlq", limit=2) == stored[:2]


def test_a_replay_sends_each_record_once_to_its_origin(kafka: str, topic: str, letters: list[DeadLetter]) -> None:
    replayed = replay_dead_letters(kafka, f"{topic}.dlq")

    assert replayed == Replayed(matched=4, replayed=2, truncated=1)
    assert records(kafka, topic, 2) == [
        (b"e1", letters[0].value, 1_005),
        (b"e1", letters[2].value, 1_006),
    ]


def test_a_replay_can_be_limited_to_reasons_or_ids(kafka: str, topic: str, letters: list[DeadLetter]) -> None:
    clock = ids(read_dead_letters(kafka, f"{topic}.dlq"), "wrong-clock")

    done = [
        replay_dead_letters(kafka, f"{topic}.dlq", reasons=["implausible"]),
        replay_dead_letters(kafka, f"{topic}.dlq", ids=clock),
        replay_dead_letters(kafka, f"{topic}.dlq", reasons=["late"]),
    ]

    assert done == [Replayed(1, 1, 0), Replayed(1, 1, 0), Replayed(0, 0, 0)]
    assert [value for _, value, _ in records(kafka, topic, 2)] == [letters[1].value, letters[2].value]


def test_a_cut_record_asked_for_by_id_is_refused(kafka: str, topic: str, letters: list[DeadLetter]) -> None:
    large = ids(read_dead_letters(kafka, f"{topic}.dlq"), "too-large")

    with pytest.raises(InputError, match="expected a whole record, got one cut from"):
        replay_dead_letters(kafka, f"{topic}.dlq", ids=large)


def test_records_of_others_on_the_topic_are_passed_over(kafka: str, topic: str, letters: list[DeadLetter]) -> None:
    publish([(b"k", b"v", None)], kafka, f"{topic}.dlq")

    assert len(read_dead_letters(kafka, f"{topic}.dlq")) == 4


def test_a_missing_topic_is_named(kafka: str, topic: str) -> None:
    with pytest.raises(StackError, match=f"dead-letter topic {topic}"):
        read_dead_letters(kafka, topic)
