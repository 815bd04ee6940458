"""What labels taught is made anew bit for bit, and what one source taught comes out of the weights."""

import itertools
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from kafka import KafkaAdminClient
from sqlalchemy import select

from infra.assembly import registry_of
from infra.checkpoints import SHARED, Checkpoint, Checkpoints, told_of
from infra.commands.models import models
from infra.database import connect, migrate
from infra.labels.store import LABELS, SqlLabels
from infra.replaying import replay
from infra.trainer_service import TrainerService
from ingest.clock import utc_now
from ingest.producer import Message, create_topics, publish
from schemas.errors import InputError
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Float64
from schemas.tables import TaskMetricRow
from scorer.alerts import reading
from tests.integration.test_labels_topic import START_MS, learning, wait_until
from tests.integration.test_labels_topic import monitor as pumps
from trainer.checkpoint import unpacked
from trainer.network import Network
from trainer.weights import load_weights, save_weights

pytestmark = pytest.mark.service

ENTITIES, ROWS = 32, 60
RESTS = 3.0
"""Seconds in which labels are usually learned from."""
MISTAKEN = "carol"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in a trainer's process: sums depend on how many threads make them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def monitor(kafka: str, topic: str, tmp_path: Path) -> Monitor:
    """Pumps whose failures are told; what learns is published at every turn."""
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    words = pumps(kafka, topic, url, tmp_path).model_dump(mode="json")
    words["tasks"].append({"name": "leak", "kind": "event"})
    learned = {"windows_per_step": 16, "gate_windows": 32, "checkpoint_every": "200ms", "learning_rate": 0.03}
    described = Monitor.model_validate(words | {"training": words["training"] | learned})
    migrate(connect(url))
    create_topics(kafka, {topic: 2, f"{topic}.dlq": 1, f"{topic}.labels": 1})
    return described


def swings(first: int, rows: int) -> Float64:
    """Of every pump in each row; every other one goes up and down."""
    fluttering = np.arange(ENTITIES) % 2
    turns = np.where(np.arange(first, first + rows) % 2, 5.0, -5.0)
    return 900.0 + turns[:, None] * fluttering + np.random.default_rng(first).normal(0.0, 1.0, (rows, ENTITIES))


def observations(first: int, rows: int) -> list[Message]:
    """Pumps that will fail flutter."""
    rpm = swings(first, rows)
    return [
        (b"p%d" % pump, json.dumps(said).encode(), None)
        for row in range(first, first + rows)
        for pump in range(ENTITIES)
        for said in [{"entity": f"p{pump}", "time": START_MS + row * 1_000, "rpm": float(rpm[row - first, pump])}]
    ]


def outcomes(second: int, source: str) -> list[Message]:
    """Those that flutter fail, says everybody, but for one who tells of leaks."""
    return [
        (b"p%d" % pump, json.dumps(said).encode(), None)
        for pump in range(ENTITIES)
        for said in [
            {
                "entity": f"p{pump}",
                "task": "leak" if source == MISTAKEN else "failure",
                "label": pump % 2,
                "occurred_at": START_MS + second * 1_000,
                "source": source,
            }
        ]
    ]


def head(weights: bytes, monitor: Monitor, task: str) -> list[list[float]]:
    """Weights that no other task has."""
    layout = Layout(monitor)
    place = [each.name for each in layout.tasks].index(task)
    parts = load_weights(layout, weights).head(place)
    return [each.detach().flatten().tolist() for part in parts for each in part.parameters()]


def ended(service: TrainerService) -> int:
    """Labels that nothing more is to come of."""
    return sum(count for status, count in service.status()["labels"].items() if status != "waiting")


def teach(service: TrainerService, monitor: Monitor, sources: Iterable[str], first: int = 0) -> int:
    """Rows, and after each part of them labels of one source; a few rows at the end. What comes after `first` rows."""
    kafka, topic = monitor.kafka.bootstrap_servers, monitor.topics.observations
    before = ended(service)
    for turn, source in enumerate(sources, 1):
        publish(observations(first, ROWS), kafka, topic)
        first += ROWS
        publish(outcomes(first - 20, source), kafka, f"{topic}.labels")
        rests = time.monotonic() + RESTS
        while ended(service) < before + ENTITIES * turn:
            if time.monotonic() > rests:  # a stream goes on: labels that are too few for a step wait for more rows
                publish(observations(first, 8), kafka, topic)
                first, rests = first + 8, time.monotonic() + RESTS
            time.sleep(0.02)
    publish(observations(first, 8), kafka, topic)
    wait_until(lambda: service.status()["lag"] == 0)
    return first + 8


def learn(monitor: Monitor, sources: Iterable[str], first: int = 0) -> int:
    """As `teach`, by a trainer that comes and goes."""
    with learning(monitor) as service:
        wait_until(lambda: service.status()["rank"] == 0)
        return teach(service, monitor, sources, first)


def relearned(monitor: Monitor, folder: Path, source: str) -> dict[str, Any]:
    """What the command says once the source is excluded."""
    described = folder / "pumps.yaml"
    described.write_text(yaml.safe_dump(monitor.model_dump(mode="json")))
    engine = connect(monitor.database.url)
    SqlLabels(engine, "pumps", lambda: ("", ""), utc_now).decide(source, excluded=True, author="ann", why="guesses")
    done = CliRunner().invoke(models, ["relearn", str(described), "--json"], catch_exceptions=False)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def told(kept: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Those during which versions were published, and labels taught, and whose making can be repeated."""
    there = {each.id for each in kept}
    return [each for each in kept if each.published and each.parent in there and told_of(0) in each.files]


def test_a_version_that_labels_taught_is_made_anew_bit_for_bit(monitor: Monitor, tmp_path: Path) -> None:
    checkpoints = Checkpoints(connect(monitor.database.url), "pumps", tmp_path, utc_now)
    rows = learn(monitor, itertools.takewhile(lambda _: not told(checkpoints.all()), itertools.cycle(["anna", "bob"])))

    with reading(monitor.database.url) as connection:
        stale = (
            connection.execute(select(TaskMetricRow.value).where(TaskMetricRow.metric == "staleness")).scalars().all()
        )
    assert 0.0 <= min(stale) <= max(stale) <= rows  # seconds, a row each
    made = [replay(monitor, max(each.published)) for each in told(checkpoints.all())]

    assert made
    assert all(each.same for each in made)


def test_what_one_source_taught_comes_out_of_the_weights(monitor: Monitor, tmp_path: Path) -> None:
    learn(monitor, ["anna", MISTAKEN, "anna"])
    engine = connect(monitor.database.url)
    registry, checkpoints = registry_of(monitor, engine), Checkpoints(engine, "pumps", tmp_path, utc_now)
    stood = checkpoints.all()[0]
    misled = unpacked(checkpoints.read(stood, SHARED))["weights"]

    said = relearned(monitor, tmp_path, MISTAKEN)

    assert (said["without"], said["sources"], said["untaught"]) == (ENTITIES, [MISTAKEN], 0)
    assert registry.serving().version == said["version"]
    fresh, anew = save_weights(Network(Layout(monitor))), registry.load(registry.serving())
    assert head(anew, monitor, "leak") == head(fresh, monitor, "leak") != head(misled, monitor, "leak")
    assert head(anew, monitor, "failure") != head(fresh, monitor, "failure")
    with reading(monitor.database.url) as connection:
        columns = select(LABELS.c.source, LABELS.c.status).distinct().order_by(LABELS.c.source)
        assert list(map(tuple, connection.execute(columns))) == [("anna", "taught"), (MISTAKEN, "excluded")]
    with learning(monitor) as service:
        wait_until(lambda: service.status()["rank"] == 0)
    went_on = min((each for each in checkpoints.all() if each.id > stood.id), key=lambda each: each.id)
    state = unpacked(checkpoints.read(went_on, SHARED))
    assert (state["version"], state["weights"]) == (said["version"], registry.load(registry.serving()))


def test_what_came_out_once_does_not_come_back_with_the_next_source(monitor: Monitor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no excluded source has taught anything"):
        relearned(monitor, tmp_path, "nobody")
    rows = learn(monitor, ["anna", MISTAKEN, "bob"])
    relearned(monitor, tmp_path, MISTAKEN)
    learn(monitor, ["bob", "anna"], rows)

    said = relearned(monitor, tmp_path, "bob")

    registry = registry_of(monitor, connect(monitor.database.url))
    fresh, anew = save_weights(Network(Layout(monitor))), registry.load(registry.serving())
    assert (said["without"], said["sources"]) == (2 * ENTITIES, ["bob"])
    assert head(anew, monitor, "leak") == head(fresh, monitor, "leak")


def test_a_trainer_that_runs_goes_on_from_what_came_out(
    monitor: Monitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.labels.feed._LOOK_SECONDS", 3600.0)  # it hears of the version first
    checkpoints = Checkpoints(connect(monitor.database.url), "pumps", tmp_path, utc_now)
    with learning(monitor) as service:
        rows = teach(service, monitor, ["anna", MISTAKEN])
        said = relearned(monitor, tmp_path, MISTAKEN)
        wait_until(lambda: checkpoints.whole()[0].version >= said["version"])
        teach(service, monitor, ["anna"], rows)
    registry = registry_of(monitor, connect(monitor.database.url))
    fresh, now = save_weights(Network(Layout(monitor))), unpacked(checkpoints.read(checkpoints.whole()[0], SHARED))
    assert head(now["weights"], monitor, "leak") == head(fresh, monitor, "leak")
    assert registry.serving().version >= said["version"]


def test_rows_of_a_partition_that_was_added_are_learned_too(monitor: Monitor, kafka: str, tmp_path: Path) -> None:
    rows = learn(monitor, ["anna", MISTAKEN])
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.create_partitions({monitor.topics.observations: 3})
    admin.close()
    learn(monitor, ["anna"], rows)
    kept = Checkpoints(connect(monitor.database.url), "pumps", tmp_path, utc_now).all()
    assert len(kept[0].offsets) == 3

    said = relearned(monitor, tmp_path, MISTAKEN)

    base = next(each for each in kept if each.step == said["from_step"])
    assert len(base.offsets) == 2
    read = sum(kept[0].offsets.values())
    assert said["rows"] == pytest.approx(read - base.events, rel=0.15), "rows read may still wait for a step"
