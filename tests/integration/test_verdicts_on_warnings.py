"""What people say of warnings of real ICU stays: called false, they get fewer at once, and NEWS2 stays NEWS2."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import select

from infra.assembly import first_version, registry_of, shard_parts
from infra.database import connect, migrate
from infra.labels.verdict import give_verdict
from infra.memory import MemoryLedger, MemoryRegistry
from infra.rescoring.alerts import rescore
from infra.settings import load_monitor
from infra.shard_service import ShardService
from ingest.events import to_messages
from ingest.files import FileSource
from ingest.producer import create_topics, publish
from ingest.wide import read_events
from schemas.alert import ALARMS, Alert, Judgement, Rung
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.statements import ALERTS, EVENTS, SWAPS
from scorer.alerts import reading
from scorer.run import run
from scorer.shard import SnapshotPolicy
from scorer.stages.risk import asked
from tests.converters import icu
from tests.e2e.program import monitor_file
from tests.e2e.stream import wait_until_accounted
from trainer.learner import Learner
from trainer.weights import save_weights

TASK, WARNING, CRITICAL = "deterioration", 0.15, 0.25
LEARNED, JUDGED = 60, 80
"""Stays that a network learns from, and those after them that it warns of."""
VERDICTS = 10
NEVER = SnapshotPolicy(None, timedelta(days=1))


class Nurses:
    """They call the first ten warnings false, and say no more."""

    def __init__(self) -> None:
        self.false = 0

    def judged(self) -> dict[str, tuple[int, int]]:
        return {TASK: (0, min(self.false, VERDICTS))}


def easily_warning(monitor: Monitor) -> Monitor:
    """So that few stays and little learning are enough for warnings."""
    severities = {"warning": WARNING, "critical": CRITICAL}
    tasks = [task.model_dump() | ({"severities": severities} if task.name == TASK else {}) for task in monitor.tasks]
    return Monitor.model_validate(monitor.model_dump() | {"tasks": tasks})


@pytest.fixture(scope="module")
def stays(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    """Weights that have learned from some stays, and the stays after them."""
    folder = tmp_path_factory.mktemp("stays")
    wide = pd.read_parquet(icu.convert(shared_data, folder, LEARNED + JUDGED))
    before = wide.entity.isin(sorted(wide.entity.unique(), key=int)[:LEARNED])
    for name, rows in (("learned", before), ("judged", ~before)):
        wide[rows].to_parquet(folder / f"{name}.parquet", index=False)
    layout, registry = Layout(load_monitor("health")), MemoryRegistry()
    first_version(layout, registry)
    learner = Learner(layout, 0, registry)
    parts = shard_parts(layout, MemoryLedger(), registry, NEVER)
    for batch in FileSource([folder / "learned.parquet"], layout, 1024).batches(parts.shard):
        learner.observe(batch)
    return save_weights(learner.candidate.network), folder / "judged.parquet"


def raised(stays: tuple[bytes, Path], *, heard: bool) -> list[Alert]:
    """Alarms where what the nurses say is heard, and where not."""
    weights, path = stays
    layout, registry, nurses = Layout(easily_warning(load_monitor("health"))), MemoryRegistry(), Nurses()
    registry.publish(weights, None, {})
    parts = shard_parts(layout, MemoryLedger(), registry, NEVER, 0.0, verdicts=nurses if heard else None)
    found: list[Alert] = []
    for scored in run(FileSource([path], layout, 256), parts.shard, parts.pipeline):
        alarms = [each for each in scored.alerts if each.change in ALARMS] if scored else []
        nurses.false += sum(alarm.task == TASK for alarm in alarms)
        found += alarms
    return found


def of_task(alarms: Sequence[Alert]) -> list[Alert]:
    return [alarm for alarm in alarms if alarm.task == TASK]


def of_rules(alarms: Sequence[Alert]) -> list[Alert]:
    return [alarm for alarm in alarms if alarm.rung is Rung.RULE]


def test_ten_false_verdicts_make_warnings_rarer_and_move_no_rule(stays) -> None:
    deaf, hearing = raised(stays, heard=False), raised(stays, heard=True)
    print(f"warnings: {len(of_task(deaf))} unheard, {len(of_task(hearing))} heard; of rules {len(of_rules(hearing))}")
    assert len(of_task(deaf)) > 10 * VERDICTS
    assert 0 < len(of_task(hearing)) < 0.7 * len(of_task(deaf))
    assert of_rules(hearing) == of_rules(deaf)
    assert {"news2"} < {alarm.task for alarm in of_rules(hearing)}


@pytest.mark.service
def test_a_replay_judges_warnings_by_what_people_had_said_by_then(stays, kafka: str, topic: str, tmp_path) -> None:
    weights, path = stays
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    tasks = easily_warning(load_monitor("health")).model_dump(mode="json")["tasks"]
    file, monitor = monitor_file(tmp_path / "ward", kafka, url, topic, tasks=tasks)
    migrate(connect(url))
    registry_of(monitor).publish(weights, None, {})
    events = read_events([path])
    records = list(to_messages(events, list(events.columns)))[: len(events) // 2]
    create_topics(kafka, {topic: 2, f"{topic}.dlq": 1})
    service = ShardService(monitor, 0)
    thread = threading.Thread(target=service.serve)
    thread.start()
    try:
        publish(records[: len(records) // 2], kafka, topic)
        wait_until_accounted(url, "health", len(records) // 2, 120)
        with reading(url) as connection:
            warned = connection.execute(select(ALERTS.c.id).where(ALERTS.c.task == TASK).limit(3)).scalars().all()
        said = [give_verdict(name, Judgement.FALSE, "anna", None, url, str(file)) for name in warned]
        publish(records[len(records) // 2 :], kafka, topic)
        wait_until_accounted(url, "health", len(records), 120)
    finally:
        service.stop()
        thread.join()
    with reading(url) as connection:
        log = connection.execute(select(SWAPS.c.partition, SWAPS.c.offset, SWAPS.c.strictness)).all()
        opened = select(EVENTS.c.partition, EVENTS.c.offset, EVENTS.c.score).join(
            ALERTS, ALERTS.c.id == EVENTS.c.alert_id
        )
        warnings = connection.execute(opened.where(ALERTS.c.task == TASK, EVENTS.c.change == "opened")).all()
    moved = {row.partition: row.offset for row in log if row.strictness == {TASK: said[-1].strictness}}
    after = [row.score for row in warnings if row.offset >= moved[row.partition]]
    before = [row.score for row in warnings if row.offset < moved[row.partition]]
    stands, configured = said[-1].thresholds["warning"]
    assert (said[-1].lately, stands, configured) == ((0, 3), asked(WARNING, 0.11), WARNING)
    assert min(before) < stands <= min(after)
    assert rescore(monitor).all_same
