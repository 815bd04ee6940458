"""Labels from a real broker into a real trainer: learned from once, kept in SQL, the bad ones put aside."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from sqlalchemy import select

from infra.commands.alerts import alerts
from infra.commands.labels import labels
from infra.database import connect, migrate
from infra.labels.store import LABELS, SqlLabels
from infra.place import Place
from infra.trainer_service import TrainerService
from ingest.clock import utc_now
from ingest.producer import Message, create_topics, publish
from ingest.replay import read_dead_letters
from schemas.alert import Alert, Change, Rung
from schemas.alerting import Severity
from schemas.monitor import Monitor
from schemas.observation import Partition
from scorer.alerts import reading
from scorer.ledger import SqlLedger

pytestmark = pytest.mark.service

START_MS = 1_700_000_000_000
ENTITIES, ROWS = 16, 24


def monitor(kafka: str, topic: str, url: str, folder: Path) -> Monitor:
    return Monitor.model_validate(
        {
            "monitor": "pumps",
            "topics": {"observations": topic, "labels": f"{topic}.labels"},
            "modalities": [{"name": "motor", "signals": [{"name": "rpm"}]}],
            "tasks": [
                {"name": "forecast", "kind": "forecast"},
                {"name": "anomaly", "kind": "anomaly"},
                {"name": "failure", "kind": "event"},
            ],
            "model": {"width": 8, "private": 0},
            "training": {"window": 4, "rows_ahead": 4, "windows_per_step": 512},
            "kafka": {"bootstrap_servers": kafka, "group_id": topic},
            "database": {"url": url, "directory": str(folder)},
        }
    )


def observations(first: int = 0, rows: int = ROWS, entities: int = ENTITIES) -> list[Message]:
    return [
        (b"p%d" % entity, json.dumps(message).encode(), None)
        for row in range(first, first + rows)
        for entity in range(entities)
        for message in [{"entity": f"p{entity}", "time": START_MS + row * 1_000, "rpm": 900 + entity + row % 3}]
    ]


def failure(entity: int, second: int, **fields: object) -> Message:
    said = {"entity": f"p{entity}", "task": "failure", "label": entity % 2, "occurred_at": START_MS + second * 1_000}
    return b"p%d" % entity, json.dumps(said | {"source": "workshop"} | fields).encode(), None


@contextmanager
def learning(described: Monitor) -> Iterator[TrainerService]:
    with ranks(described, 1) as (service,):
        yield service


@contextmanager
def ranks(described: Monitor, count: int) -> Iterator[list[TrainerService]]:
    services = [TrainerService(described, index) for index in range(count)]
    address = services[0].address()
    for rank, service in enumerate(services):
        service.join(Place(1, rank, count, address))
    threads = [threading.Thread(target=service.serve) for service in services]
    for thread in threads:
        thread.start()
    try:
        yield services
    finally:
        for service in services:
            service.stop()
        for thread in threads:
            thread.join()


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again every 20 ms; pytest's timeout ends what never comes true."""
    while not condition():
        threading.Event().wait(0.02)


def ends(url: str) -> list[tuple[str, int, str, int | None]]:
    columns = LABELS.c.entity, LABELS.c.offset, LABELS.c.status, LABELS.c.step
    with reading(url) as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(LABELS.c.offset))]


def test_labels_of_a_topic_are_learned_from_once_their_rows_were_seen(
    kafka: str, topic: str, database_url: str, tmp_path: Path
) -> None:
    described = monitor(kafka, topic, database_url, tmp_path)
    migrate(connect(database_url))
    create_topics(kafka, {topic: 2, f"{topic}.dlq": 1, f"{topic}.labels": 1})
    publish([failure(entity, 20) for entity in range(8)], kafka, f"{topic}.labels")
    publish([failure(1, 20, task="wear"), failure(8, 90), failure(99, 5)], kafka, f"{topic}.labels")

    with learning(described) as service:
        wait_until(lambda: len(ends(database_url)) == 10)
        before = {status for _, _, status, _ in ends(database_url)}
        publish(observations(), kafka, topic)
        wait_until(lambda: service.status()["labels"].get("taught") == 8)
        losses = service.status()["losses"]

    taught = [(f"p{entity}", entity, "taught", 1) for entity in range(8)]
    assert (before, ends(database_url)[:8]) == ({"waiting"}, taught)
    assert [end[:3] for end in ends(database_url)[8:]] == [("p8", 9, "waiting"), ("p99", 10, "waiting")]
    assert losses["failure"] > 0.0
    (letter,) = read_dead_letters(kafka, f"{topic}.labels.dlq")
    assert (letter.letter.reason, letter.letter.partition.topic, letter.letter.offset) == (
        "unknown-task",
        f"{topic}.labels",
        8,
    )


def test_a_trainer_that_starts_again_teaches_no_label_twice_and_misses_none(
    kafka: str, topic: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    described = monitor(kafka, topic, url, tmp_path)
    migrate(connect(url))
    create_topics(kafka, {topic: 1, f"{topic}.dlq": 1, f"{topic}.labels": 2})
    publish(observations(), kafka, topic)
    publish([failure(entity, 5) for entity in range(8)], kafka, f"{topic}.labels")
    with learning(described) as service:
        wait_until(lambda: service.status()["labels"].get("taught") == 8)
        publish([failure(entity, 30) for entity in range(8, 12)], kafka, f"{topic}.labels")
        wait_until(lambda: service.status()["labels"].get("waiting") == 4)

    publish([failure(entity, 10) for entity in range(12, 16)], kafka, f"{topic}.labels")
    with learning(described) as service:
        publish(observations(ROWS, 10), kafka, topic)
        wait_until(lambda: service.status()["labels"].get("taught") == 8)
        counts = service.status()["labels"]

    assert (counts["waiting"], sorted(end[0] for end in ends(url))) == (0, sorted(f"p{each}" for each in range(16)))
    assert {end[2] for end in ends(url)} == {"taught"}


def test_a_checkpoint_older_than_what_was_taught_has_it_taught_again(kafka: str, topic: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    described = monitor(kafka, topic, url, tmp_path)
    migrate(connect(url))
    create_topics(kafka, {topic: 1, f"{topic}.dlq": 1, f"{topic}.labels": 1})
    publish(observations(), kafka, topic)
    publish([failure(entity, 5) for entity in range(16)], kafka, f"{topic}.labels")
    with learning(described) as service:
        wait_until(lambda: service.status()["labels"].get("taught") == 16)

    store = SqlLabels(connect(url), "pumps", lambda: ("", ""), utc_now)
    store.unlearn(after_step=1)

    assert [(end[2], end[3]) for end in ends(url)] == [("taught", 1)] * 8 + [("waiting", None)] * 8


def test_each_rank_teaches_the_labels_of_its_own_entities(kafka: str, topic: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    described = monitor(kafka, topic, url, tmp_path)
    migrate(connect(url))
    create_topics(kafka, {topic: 2, f"{topic}.dlq": 1, f"{topic}.labels": 1})
    publish(observations(entities=60), kafka, topic)
    publish([failure(entity, 5) for entity in range(60)], kafka, f"{topic}.labels")

    with ranks(described, 2) as services:
        wait_until(lambda: sum(status == "taught" for _, _, status, _ in ends(url)) >= 46)
        counts = [service.status()["labels"] for service in services]

    assert min(count["taught"] for count in counts) >= 8
    assert sum(count["taught"] for count in counts) == sum(status == "taught" for _, _, status, _ in ends(url))


def alarm(entity: int, second: int) -> Alert:
    at = datetime.fromtimestamp(START_MS / 1_000 + second, UTC)
    key = ("pumps", f"p{entity}", "anomaly", "tail", at, Change.OPENED, Severity.WARNING, at, at)
    return Alert(*key, 3.5, 0.9, (), 1, Rung.DETECTOR, Partition("pumps", 0), entity, "rpm")


def test_verdicts_on_alerts_are_learned_from(kafka: str, topic: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    described = monitor(kafka, topic, url, tmp_path)
    (tmp_path / "pumps.yaml").write_text(yaml.safe_dump(described.model_dump(mode="json")))
    engine = connect(url)
    migrate(engine)
    create_topics(kafka, {topic: 1, f"{topic}.dlq": 1})
    ledger = SqlLedger(engine, "pumps", "c", "a", utc_now, timedelta(seconds=15), lambda name: name)
    ledger.acquire(Partition("pumps", 0))
    ledger.commit([alarm(entity, 10) for entity in range(8)], [])
    publish(observations(), kafka, topic)

    with learning(described) as service:
        for entity in range(8):
            said = [alarm(entity, 10).id, "true" if entity % 2 else "false", "--by", "anna"]
            options = ["--config", str(tmp_path / "pumps.yaml"), "--database", url, "--json"]
            done = CliRunner().invoke(alerts, ["feedback", *said, *options], catch_exceptions=False)
            assert json.loads(done.stdout.splitlines()[-1])["labels"] == 1
        wait_until(lambda: service.status()["labels"].get("waiting") == 8)
        publish(observations(ROWS, 10), kafka, topic)
        wait_until(lambda: service.status()["labels"].get("taught") == 8)

    listed = CliRunner().invoke(labels, ["list", "--database", url, "--json"]).stdout.splitlines()[-1]
    assert [(each["source"], each["taught"]) for each in json.loads(listed)] == [("anna", 8)]
