"""What the two hand-written loops share: read with kafka-python, parse with msgspec, commit rows and offsets together.

Written as a competent engineer would for one topic and one process: no groups, no state recovery, no late or
duplicate observations, no models that learn.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import psycopg
from kafka import KafkaConsumer, TopicPartition

TABLES = """
CREATE TABLE IF NOT EXISTS loop_alerts (
  "partition" int, "offset" bigint, kind text, entity text, event_time timestamptz, known_at timestamptz,
  score float8, PRIMARY KEY ("partition", "offset", kind));
CREATE TABLE IF NOT EXISTS loop_offsets ("partition" int PRIMARY KEY, "offset" bigint NOT NULL);
"""
_ALERT = "INSERT INTO loop_alerts VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
_OFFSET = """INSERT INTO loop_offsets VALUES (%s, %s)
ON CONFLICT ("partition") DO UPDATE SET "offset" = excluded."offset" """


class Vitals(msgspec.Struct, gc=False):
    """One message."""

    entity: str
    time: int
    hr: float
    systolic: float
    map: float
    resp: float
    spo2: float
    temp: float


class Finding(NamedTuple):
    """A row of a batch that is an alert."""

    row: int
    kind: str
    score: float


Score = Callable[[Sequence[Vitals]], list[Finding]]


def main(score: Score, max_poll_records: int = 2_000) -> None:
    """Poll, parse, score, commit, for ever."""
    parser = argparse.ArgumentParser()
    for name in ("--bootstrap", "--topic", "--database"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args()
    connection = psycopg.connect(arguments.database, autocommit=True)
    connection.execute(TABLES)
    consumer = _consumer(arguments.bootstrap, arguments.topic, connection)
    decode = msgspec.json.Decoder(Vitals).decode
    while True:
        polled = consumer.poll(timeout_ms=100, max_records=max_poll_records)
        if not polled:
            continue
        arrived = [record for records in polled.values() for record in records]
        batch = [decode(record.value) for record in arrived]
        findings = score(batch)
        now = datetime.fromtimestamp(time.time(), UTC)
        rows = [_row(arrived[found.row], batch[found.row], found, now) for found in findings]
        offsets = [(where.partition, records[-1].offset + 1) for where, records in polled.items()]
        with connection.transaction(), connection.cursor() as cursor:
            if rows:
                cursor.executemany(_ALERT, rows)
            cursor.executemany(_OFFSET, offsets)


def _row(record: Any, vitals: Vitals, found: Finding, now: datetime) -> tuple[object, ...]:
    event_time = datetime.fromtimestamp(vitals.time / 1000, UTC)
    return (record.partition, record.offset, found.kind, vitals.entity, event_time, now, found.score)


def _consumer(bootstrap: str, topic: str, connection: psycopg.Connection) -> Any:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        max_partition_fetch_bytes=8_400_000,
        fetch_max_wait_ms=5,
        metrics_enabled=False,
    )
    stored: dict[int, int] = dict(connection.execute('SELECT "partition", "offset" FROM loop_offsets').fetchall())
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, stored.get(partition.partition, 0))
    return consumer
