"""Trainers as ranks of one group, on a real broker: they come, die and go, every row is learned once, and as well."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from sqlalchemy import func, select

from infra.assembly import first_version, registry_of
from infra.database import connect, migrate
from infra.replaying import Replayed, replay
from infra.settings import load_monitor
from ingest.producer import create_topics, publish
from schemas.layout import Layout
from schemas.tables import TaskMetricRow
from tests.e2e.learned import Witness, checkpoints_of, gaps, last_losses
from tests.e2e.trainers import group_of, wait

pytestmark = pytest.mark.service

ENTITIES, ROWS, PARTITIONS, WINDOW, AHEAD = 64, 180, 4, 8, 4


def described(kafka: str, topic: str, directory: Path) -> Path:
    """A monitor's file, its database with a first version beside it, and the topic."""
    directory.mkdir(exist_ok=True)
    words = {
        "monitor": "ward",
        "topics": {"observations": topic},
        "modalities": [{"name": "vitals", "signals": [{"name": "hr"}, {"name": "rr"}]}],
        "tasks": [{"name": "next", "kind": "forecast", "horizons": [1, AHEAD]}, {"name": "odd", "kind": "anomaly"}],
        "model": {"width": 16},
        "training": {"window": WINDOW, "windows_per_step": 16, "gate_windows": 64, "checkpoint_every": "300ms"},
        "kafka": {"bootstrap_servers": kafka, "max_poll_records": 200},
        "database": {"url": f"sqlite:///{directory / 'bellwether.db'}", "directory": str(directory)},
    }
    path = directory / "ward.yaml"
    path.write_text(yaml.safe_dump(words))
    loaded = load_monitor(path)
    engine = connect(loaded.database.url)
    migrate(engine)
    first_version(Layout(loaded), registry_of(loaded, engine))
    create_topics(kafka, {topic: PARTITIONS})
    return path


@pytest.fixture
def monitor(kafka: str, topic: str, tmp_path: Path) -> Path:
    return described(kafka, topic, tmp_path)


def fill(kafka: str, topic: str, first: int, rows: int) -> None:
    """Rows of all entities, each an autoregressive walk."""
    rng = np.random.default_rng(first)
    level = np.zeros((ENTITIES, 2))
    records = []
    for step in range(first, first + rows):
        level = 0.9 * level + rng.normal(0.0, 1.0, level.shape)
        records += [message(f"p{entity}", step, *level[entity]) for entity in range(ENTITIES)]
    publish(records, kafka, topic)


def replayed(monitor: Path) -> Replayed:
    """The newest version that several ranks made, made anew."""
    made = [
        max(each.published) for each in checkpoints_of(load_monitor(monitor)).all() if each.published and each.ranks > 1
    ]
    return replay(load_monitor(monitor), max(made))


def lags(monitor: Path) -> list[float]:
    """Records that nobody had read yet, as noted with each checkpoint."""
    query = select(TaskMetricRow.value).where(TaskMetricRow.task == "", TaskMetricRow.metric == "lag")
    with connect(load_monitor(monitor).database.url).connect() as connection:
        return list(connection.execute(query.order_by(TaskMetricRow.id)).scalars())


def told_again(monitor: Path) -> list[tuple[int, str, str]]:
    """Losses that stand there more than once for a step: it was done anew, and told of as if it were another."""
    row = TaskMetricRow
    query = select(row.step, row.task, row.metric).where(row.metric == "loss").group_by(row.step, row.task, row.metric)
    with connect(load_monitor(monitor).database.url).connect() as connection:
        return [tuple(found) for found in connection.execute(query.having(func.count() > 1))]


def message(entity: str, step: int, hr: float, rr: float) -> tuple[bytes, bytes, None]:
    record = {"entity": entity, "time": 1_700_000_000_000 + 60_000 * step, "hr": 70 + hr, "rr": 15 + rr}
    return entity.encode(), json.dumps(record).encode(), None


def test_trainers_die_come_and_go_and_every_row_is_taken_in_once(kafka, topic, monitor, tmp_path):
    witness = Witness(load_monitor(monitor))
    with group_of(monitor) as group:
        group.start(2)
        group.form()
        fill(kafka, topic, 0, ROWS // 3)
        wait(lambda: group.steps() >= 5, "steps of two ranks")
        group.lose(1)
        wait(lambda: group.trainers[0].last["lost"] == group.formation, "the loss to be noticed")
        group.form()
        fill(kafka, topic, ROWS // 3, ROWS // 3)
        wait(lambda: group.trainers[0].last["ranks"] == 1 and group.steps() >= 12, "steps of one rank")
        group.start(2)
        group.form()
        wait(lambda: all(trainer.last["ranks"] == 3 for trainer in group.trainers), "three ranks")
        fill(kafka, topic, 2 * ROWS // 3, ROWS // 3)
        end = ENTITIES * ROWS
        wait(lambda: witness.taken == end, "everything to be taken in")
        learned = ENTITIES * ((ROWS - AHEAD) // WINDOW) * WINDOW
        waiting = 3 * 16 * WINDOW
        wait(lambda: witness.events > learned - waiting, "everything to be learned")
        wait(lambda: lags(monitor)[-1] == 0.0, "the word that nothing is left to read")
    assert replayed(monitor).same
    assert told_again(monitor) == []
    history = witness.history()
    assert {each.ranks for each in history} >= {1, 2, 3}
    assert gaps(history) == []
    assert learned - waiting < history[-1].events <= learned

    undisturbed = described(kafka, topic, tmp_path / "undisturbed")
    witness = Witness(load_monitor(undisturbed))
    with group_of(undisturbed) as group:
        group.start(1)
        group.form()
        wait(lambda: witness.taken == end and witness.events > learned - waiting, "everything to be learned by one")
    witness.history()
    assert last_losses(load_monitor(monitor)) == pytest.approx(last_losses(load_monitor(undisturbed)), rel=0.1)
