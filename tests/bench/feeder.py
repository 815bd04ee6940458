"""Sends observations at a steady rate, each stamped with the clock as it is sent. A process of its own.

Prints one JSON line: a `Fed`.
"""

import argparse
import time

import msgspec
from kafka import KafkaProducer

from tests.bench.stream import SIGNALS, entity_name, walks

BREAK_RATE = 0.01
_SLOT_SECONDS = 0.001


class Fed(msgspec.Struct, frozen=True):
    """What was sent: `breaks_ms` are the event times of broken bands, `behind_ms` how late the latest record was."""

    began_ms: int
    sent: int
    breaks_ms: tuple[int, ...]
    behind_ms: float


def main() -> None:
    """Send, then say what was sent."""
    parser = argparse.ArgumentParser()
    for name in ("--bootstrap", "--topic"):
        parser.add_argument(name, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--count", type=int, required=True)
    arguments = parser.parse_args()
    prepared = _prepare(arguments.count)
    producer = KafkaProducer(
        bootstrap_servers=arguments.bootstrap, acks=1, linger_ms=0, enable_idempotence=False, metrics_enabled=False
    )
    producer.partitions_for(arguments.topic)
    print(msgspec.json.encode(_send(producer, arguments.topic, arguments.rate, prepared)).decode())


def _prepare(count: int) -> list[tuple[bytes, bytes, bool]]:
    """Key, value up to the event time, does it break the band: little is left to do while sending."""
    made, encode = walks(count, BREAK_RATE, seed=11), msgspec.json.Encoder().encode
    found = []
    for step, entity in made.each():
        name = entity_name(entity)
        signals = dict(zip(SIGNALS, made.values[step, entity].tolist(), strict=True))
        head = encode({"entity": name, **signals})[:-1] + b',"time":'
        found.append((name.encode(), head, bool(made.broken[step, entity])))
    return found[:count]


def _send(producer: KafkaProducer, topic: str, rate: float, prepared: list[tuple[bytes, bytes, bool]]) -> Fed:
    began, began_ms = time.monotonic(), time.time_ns() // 1_000_000
    breaks, sent, behind = [], 0, 0.0
    while sent < len(prepared):
        due = min(len(prepared), int((time.monotonic() - began) * rate))
        for key, head, broken in prepared[sent:due]:
            now_ms = time.time_ns() // 1_000_000
            producer.send(topic, key=key, value=head + str(now_ms).encode() + b"}")
            if broken:
                breaks.append(now_ms)
        sent = due
        behind = max(behind, time.monotonic() - began - sent / rate)
        time.sleep(_SLOT_SECONDS)
    producer.flush()
    return Fed(began_ms, sent, tuple(breaks), round(behind * 1000, 1))


if __name__ == "__main__":
    main()
