"""Real ICU observations into a topic, and what the database says became of them."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import select

from infra.database import connect, migrate
from infra.feeds.icu import icu
from infra.summary import accounted
from ingest.producer import create_topics, publish
from schemas.monitor import Monitor
from schemas.tables import AlertEventRow, AlertRow, PartitionRow
from scorer.alerts import reading
from tests.e2e.program import wait_for

Record = tuple[bytes, bytes, int | None]
PARTITIONS = 4


def icu_records(shared_data: Path, monitor: Monitor, count: int | None) -> list[Record]:
    """The first `count` observations, or all, in event-time order."""
    feed = icu(monitor.topics, shared_data / "icu2012a" / "events.parquet")
    return [(message.key, message.value, None) for message in islice(feed.messages(), count)]


@dataclass(slots=True)
class Sending:
    """Records on their way, in a thread.

    Attributes:
        thread: ends with the last of them.
        stopping: set it to send no more.
        sent: how many were, once the thread has ended.
    """

    thread: threading.Thread = field(init=False)
    stopping: threading.Event = field(default_factory=threading.Event)
    sent: int = 0

    @classmethod
    def start(cls, records: list[Record], bootstrap: str, topic: str, rate: float | None) -> "Sending":
        """Make the topic and begin."""
        create_topics(bootstrap, {topic: PARTITIONS, f"{topic}.dlq": 1}, {"max.message.bytes": 8_388_608})
        sending = cls()
        sending.thread = threading.Thread(target=sending._run, args=(records, bootstrap, topic, rate), daemon=True)
        sending.thread.start()
        return sending

    def end(self) -> int:
        """Send no more; how many were sent."""
        self.stopping.set()
        self.thread.join()
        return self.sent

    def _run(self, records: list[Record], bootstrap: str, topic: str, rate: float | None) -> None:
        published = publish(
            _each(records), bootstrap, topic, rate=rate, stopping=self.stopping, max_record_bytes=8_000_000
        )
        self.sent = published.records


def _each(records: list[Record]) -> Iterator[Record]:
    yield from records


def wait_until_accounted(url: str, monitor: str, count: int, seconds: float) -> None:
    """Wait until the ledger has accounted for every record."""
    engine = connect(url)
    migrate(engine)
    wait_for(lambda: accounted(engine, monitor) >= count, seconds, f"{count} records accounted for")
    engine.dispose()


def tallies(url: str, monitor: str) -> dict[str, int]:
    """What became of the records, over all partitions."""
    with reading(url) as connection:
        rows = (
            connection.execute(select(PartitionRow.__table__).where(PartitionRow.monitor == monitor)).mappings().all()
        )
    names = ("accepted", "partly", "dead_lettered", "duplicate")
    return {name: sum(row[name] for row in rows) for name in names}


def alert_set(url: str) -> set[tuple[Any, ...]]:
    """Every alert as it stands, but for when it was written."""
    with reading(url) as connection:
        rows = connection.execute(select(AlertRow.__table__)).mappings().all()
    return {tuple(str(value) for name, value in sorted(row.items()) if name != "known_at") for row in rows}


def event_set(url: str) -> list[tuple[Any, ...]]:
    """Every transition of every alert, but for when it was written, sorted: a doubled one shows."""
    with reading(url) as connection:
        rows = connection.execute(select(AlertEventRow.__table__)).mappings().all()
    return sorted(tuple(str(value) for name, value in sorted(row.items()) if name != "recorded_at") for row in rows)
