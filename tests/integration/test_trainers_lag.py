"""How far a real trainer says it is behind: by the end of the topic, whatever it is doing, or not at all."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from infra.database import connect, migrate
from ingest.producer import create_topics, publish
from schemas.monitor import Monitor
from schemas.tables import TaskMetricRow
from scorer.alerts import reading
from tests.integration.test_labels_topic import ENTITIES, learning, observations, wait_until
from tests.integration.test_labels_topic import monitor as pumps
from trainer.learner import Learner

pytestmark = pytest.mark.service

ROWS = 40


@pytest.fixture
def monitor(kafka: str, topic: str, tmp_path: Path) -> Monitor:
    """Pumps without labels, rows of which wait already; little is read ahead."""
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    words = pumps(kafka, topic, url, tmp_path).model_dump(mode="json")
    words["topics"]["labels"] = None
    words["kafka"] |= {"max_poll_records": 20, "queue_batches": 1}
    words["training"] |= {"windows_per_step": 16, "checkpoint_every": "1h"}
    migrate(connect(url))
    create_topics(kafka, {topic: 2})
    publish(observations(rows=ROWS), kafka, topic)
    return Monitor.model_validate(words)


def test_rows_that_come_while_a_trainer_is_halted_in_a_step_count(
    kafka: str, topic: str, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    halts, goes_on, step = threading.Event(), threading.Event(), Learner.step

    def halted(learner: Learner):
        halts.set()
        goes_on.wait()
        return step(learner)

    monkeypatch.setattr(Learner, "step", halted)
    with learning(monitor) as service:
        try:
            halts.wait()
            publish(observations(ROWS, rows=2 * ROWS), kafka, topic)
            there = ENTITIES * 3 * ROWS
            wait_until(lambda: sum(service.status()["ends"].values()) == there)
            said = service.status()
            assert (said["steps"], said["lag"]) == (0, there - sum(said["read"].values()))
        finally:
            goes_on.set()


def test_what_a_trainer_does_not_know_yet_it_does_not_write_down(monitor: Monitor) -> None:
    with learning(monitor) as service:
        assert service.status()["lag"] is None
        wait_until(lambda: service.status()["lag"] == 0)
    with reading(monitor.database.url) as connection:
        said = connection.execute(select(TaskMetricRow.step, TaskMetricRow.value).where(TaskMetricRow.metric == "lag"))
        ((step, lag),) = said.all()
    assert (step > 0, lag) == (True, 0.0)
