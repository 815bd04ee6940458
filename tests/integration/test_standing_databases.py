"""Standings on both databases: of several that settle the same shadow one does, and files go by what is needed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from infra.database import connect, migrate
from infra.prequential import Course, read_courses
from infra.registry import SqlRegistry
from infra.standings import PINNED
from schemas.shadow import Outcome, Settlement

pytestmark = pytest.mark.service
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    migrate(engine)
    yield engine
    engine.dispose()


def test_shards_that_settle_a_shadow_together_settle_it_once(engine: Engine, tmp_path: Path) -> None:
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW, shadow_rows=10)
    registry.publish(b"one", None, {})
    registry.publish(b"two", 1, {})
    shadow = registry.shadow()
    assert shadow is not None
    ends = [Settlement(outcome, outcome.value) for outcome in (Outcome.PROMOTED, Outcome.REFUSED)] * 3
    with ThreadPoolExecutor(6) as pool:
        settled = list(pool.map(lambda end: registry.settle(shadow, end), ends))
    assert sum(settled) == 1
    assert registry.standing() in {(2, 0), (1, 0)}


def test_files_that_nobody_needs_are_deleted(engine: Engine, tmp_path: Path) -> None:
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW)
    for number in range(PINNED + 3):
        registry.publish(bytes([number]), None, {})
    assert len(list((tmp_path / "models" / "ward").iterdir())) == PINNED + 1


def test_metrics_are_cut_into_equal_spans_of_steps(engine: Engine, tmp_path: Path) -> None:
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW)
    for step, error in ((1, 4.0), (2, 2.0), (4, 1.0)):
        registry.record_metrics(1, step, 100 * step, {"next.mae": error})
    with engine.connect() as connection:
        assert read_courses(connection, "ward", 2) == [Course("next", "mae", (3.0, 1.0))]
