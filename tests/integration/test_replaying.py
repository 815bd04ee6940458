"""A version can be made anew whenever its trainer dies: its steps are written down with it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from infra.assembly import registry_of
from infra.checkpoints import told_of
from infra.database import connect, migrate
from infra.replaying import replay
from infra.settings import load_monitor
from ingest.producer import create_topics, publish
from tests.e2e.learned import checkpoints_of
from tests.e2e.trainers import Group, group_of, wait
from tests.integration.test_labels_topic import monitor as pumps
from tests.integration.test_relearning import ROWS, observations, outcomes

pytestmark = pytest.mark.service

TRAINING = {"windows_per_step": 16, "gate_windows": 32, "checkpoint_every": "1h", "learning_rate": 0.03}


@pytest.fixture
def monitor(kafka: str, topic: str, tmp_path: Path) -> Path:
    """The file of pumps whose trainers write down where they stand when they begin, and never again."""
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    words = pumps(kafka, topic, url, tmp_path).model_dump(mode="json")
    words["tasks"].append({"name": "leak", "kind": "event"})
    (tmp_path / "pumps.yaml").write_text(yaml.safe_dump(words | {"training": words["training"] | TRAINING}))
    migrate(connect(url))
    create_topics(kafka, {topic: 2, f"{topic}.dlq": 1, f"{topic}.labels": 1})
    return tmp_path / "pumps.yaml"


def published(monitor: Path) -> list[int]:
    """Versions, oldest first, all of which trainers made."""
    return sorted(each.version for each in registry_of(load_monitor(monitor)).versions())


def taught(monitor: Path) -> bool:
    """Did labels teach on the way to any version?"""
    made = [each for each in checkpoints_of(load_monitor(monitor)).all() if each.published]
    return any(told_of(rank) in each.files for each in made for rank in range(each.ranks))


def feed(monitor: Path, group: Group, first: int, over: Callable[[], bool]) -> int:
    """Rows and labels about them, part by part until it is over; what comes after `first` rows."""
    loaded = load_monitor(monitor)
    kafka, topic = loaded.kafka.bootstrap_servers, loaded.topics.observations

    def fed() -> bool:
        nonlocal first
        if group.trainers[0].last["lag"] == 0 and group.trainers[0].last["labels"].get("waiting") == 0:
            publish(observations(first, ROWS), kafka, topic)
            publish(outcomes(first + ROWS - 20, "anna"), kafka, f"{topic}.labels")
            first += ROWS
        return over()

    wait(fed, "versions")
    return first


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_version_whose_trainers_died_before_they_wrote_down_where_they_stood_is_made_anew(
    monitor: Path, ranks: int
) -> None:
    with group_of(monitor) as group:
        group.start(ranks)
        group.form()
        rows = feed(monitor, group, 0, lambda: taught(monitor))
        while group.trainers:
            group.lose(0)
        lost = published(monitor)
        group.start(ranks)
        group.form()
        wait(lambda: all(trainer.last["ranks"] == ranks for trainer in group.trainers), "all ranks")
        feed(monitor, group, rows, lambda: len(published(monitor)) > len(lost))
    remade = [replay(load_monitor(monitor), version) for version in (lost[-1], published(monitor)[-1])]
    assert [(each.from_step, each.same) for each in remade] == [(0, True)] * 2
