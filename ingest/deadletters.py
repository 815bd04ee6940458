"""Dead letters, written so that Kafka Connect's, Spring's and our own tools can read where they came from."""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from kafka.errors import KafkaError

from ingest import client
from ingest.record import Headers
from schemas.observation import DeadLetter

LONGEST = 65_536
"""A longer key or value is cut, so that no letter is too large for the dead-letter topic."""

TRUNCATED = "bellwether.truncated"
"""Header that holds the whole length in bytes where key or value was cut."""

OURS = ("__connect.errors.", "kafka_dlt-", "bellwether.")
"""How the names of headers begin that are not the record's own."""

EXCEPTION = "bellwether.RefusedObservation"
_FLUSH_SECONDS = 30.0


class DeadLetterWriter:
    """Connects with the first letter: most runs have none."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap, self._topic = bootstrap, topic
        self._producer: Any = None

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Write letters; returns once every replica has them.

        Raises:
            StackError: the broker did not take them.
        """
        if not letters:
            return
        try:
            self._producer = self._producer or client.producer(self._bootstrap)
            sent = [self._send(letter) for letter in letters]
            self._producer.flush(timeout=_FLUSH_SECONDS)
            for future in sent:
                future.get(timeout=_FLUSH_SECONDS)
        except KafkaError as error:
            what = f"{len(letters)} letters to dead-letter topic {self._topic}"
            raise client.failure(self._bootstrap, what, error, "an existing topic on a broker that answers") from error

    def _send(self, letter: DeadLetter) -> Any:
        value = None if letter.value is None else letter.value[:LONGEST]
        key = None if letter.key is None else letter.key[:LONGEST]
        if key is value is None:
            key = b""  # kafka-python sends no record without key and value
        return self._producer.send(self._topic, key=key, value=value, headers=headers(letter))

    def close(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            self._producer.close()


def letter_id(letter: DeadLetter) -> str:
    """Deterministic: the same letter written twice counts once."""
    return str(
        uuid5(NAMESPACE_URL, f"bellwether:dlq:{letter.partition}/{letter.offset}/{_encode(letter.signal).hex()}")
    )


def headers(letter: DeadLetter) -> Headers:
    """Kafka Connect's headers are text, Spring's numbers are big-endian integers."""
    topic, number, offset = letter.partition.topic, letter.partition.number, letter.offset
    texts = {
        "__connect.errors.topic": topic,
        "__connect.errors.partition": str(number),
        "__connect.errors.offset": str(offset),
        "__connect.errors.stage": "VALUE_CONVERTER",
        "__connect.errors.exception.class.name": EXCEPTION,
        "__connect.errors.exception.message": f"{letter.reason}: {letter.detail}",
        "kafka_dlt-original-topic": topic,
        "kafka_dlt-exception-fqcn": EXCEPTION,
        "kafka_dlt-exception-message": f"{letter.reason}: {letter.detail}",
        "bellwether.reason": letter.reason,
        "bellwether.detail": letter.detail,
        "bellwether.signal": letter.signal,
        "bellwether.id": letter_id(letter),
    }
    numbers: Headers = [
        ("kafka_dlt-original-partition", number.to_bytes(4, "big", signed=True)),
        ("kafka_dlt-original-offset", offset.to_bytes(8, "big", signed=True)),
        ("kafka_dlt-original-timestamp", letter.timestamp_ms.to_bytes(8, "big", signed=True)),
    ]
    return [*letter.headers, *((name, _encode(text)) for name, text in texts.items()), *numbers, *_length(letter)]


def _length(letter: DeadLetter) -> Headers:
    longest = max(len(letter.key or b""), len(letter.value or b""))
    return [(TRUNCATED, str(longest).encode())] if longest > LONGEST else []


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
