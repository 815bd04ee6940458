"""Trainers whose topic changes under them: it gets more partitions, forgets what was not read, or is made anew."""

import time
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, TopicPartition
from sqlalchemy import select

from infra.checkpoints import Checkpoint, Checkpoints
from infra.database import connect, migrate
from ingest.clock import utc_now
from ingest.producer import create_topics, publish
from ingest.topics import partitions_of
from schemas.monitor import Monitor
from schemas.tables import QuarantineRow
from tests.integration.test_labels_topic import learning, monitor, observations, ranks, wait_until

pytestmark = pytest.mark.service


@pytest.fixture
def pumps(kafka: str, topic: str, tmp_path: Path) -> Monitor:
    words = monitor(kafka, topic, f"sqlite:///{tmp_path / 'bellwether.db'}", tmp_path).model_dump(mode="json")
    words["topics"]["labels"] = None
    words["training"] |= {"windows_per_step": 16, "checkpoint_every": "200ms"}
    migrate(connect(words["database"]["url"]))
    return Monitor.model_validate(words)


def newest(pumps: Monitor) -> Checkpoint:
    kept = Checkpoints(connect(pumps.database.url), pumps.monitor, pumps.database.folder, utc_now)
    found = kept.newest_sound()
    assert found is not None
    return found


def made_anew(kafka: str, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_topics([topic])
    while topic in partitions_of(kafka):
        time.sleep(0.05)
    admin.close()
    create_topics(kafka, {topic: 1})


@pytest.mark.parametrize("rows", [20, 120], ids=["shorter", "longer"])
def test_a_topic_that_was_made_anew_is_read_from_its_beginning_by_the_same_weights(
    kafka: str, topic: str, pumps: Monitor, rows: int
) -> None:
    create_topics(kafka, {topic: 1})
    for turn in range(3):  # each time by trainers of a later generation
        publish(observations(turn * 20, rows=20), kafka, topic)
        with learning(pumps) as service:
            wait_until(lambda end=320 * (turn + 1): service.status()["read"].get(0) == end)
    before = newest(pumps)
    made_anew(kafka, topic)
    publish(observations(60, rows=rows), kafka, topic)
    with learning(pumps) as service:
        wait_until(lambda: service.status()["read"].get(0) == 16 * rows)
        wait_until(lambda: service.status()["events"] > before.events)
    after = newest(pumps)
    assert after.generation < before.generation
    assert (after.id > before.id, after.step > before.step, after.origin != before.origin) == (True, True, True)
    with learning(pumps) as service:
        wait_until(lambda: service.status()["read"].get(0) == 16 * rows)
        assert service.status()["steps"] >= after.step


def test_what_the_topic_forgot_before_it_was_learned_stands_in_the_quarantine(
    kafka: str, topic: str, pumps: Monitor
) -> None:
    create_topics(kafka, {topic: 1})
    publish(observations(0, rows=20), kafka, topic)
    with learning(pumps) as service:
        wait_until(lambda: service.status()["read"].get(0) == 320)
    publish(observations(20, rows=20), kafka, topic)
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_records({TopicPartition(topic, 0): 480})
    admin.close()
    with learning(pumps) as service:
        wait_until(lambda: service.status()["read"].get(0) == 640)
    with connect(pumps.database.url).connect() as connection:
        refused = [tuple(row) for row in connection.execute(select(QuarantineRow.reason, QuarantineRow.offsets))]
    assert refused == [("deleted before it was read", {f"{topic}/0": [320, 480]})]


@pytest.mark.parametrize("count", [1, 2])
def test_partitions_that_come_while_trainers_run_are_read(kafka: str, topic: str, pumps: Monitor, count: int) -> None:
    create_topics(kafka, {topic: count})
    publish(observations(0, rows=20), kafka, topic)

    def read(services: list) -> int:
        return sum(sum(service.status()["read"].values()) for service in services)

    with ranks(pumps, count) as services:
        wait_until(lambda: read(services) == 320)
        admin = KafkaAdminClient(bootstrap_servers=kafka)
        admin.create_partitions({topic: 4})
        admin.close()
        publish(observations(20, rows=40), kafka, topic)
        if count > 1:
            wait_until(lambda: all(service.status()["lost"] == 1 for service in services))
            return  # whoever counts the ranks gives them new places now
        wait_until(lambda: read(services) == 960)
        assert services[0].status()["lag"] == 0
