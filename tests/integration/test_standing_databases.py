"""Standings on both databases: of several that settle the same shadow one does, and files go by what is needed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from infra.behind import Behind, behind_of, ledger_of_trainers
from infra.checkpoints import SHARED, Checkpoint, Checkpoints
from infra.prequential import Course, read_courses
from infra.registry import SqlRegistry
from infra.standings import PINNED, lives
from schemas.errors import ModelError
from schemas.newest import Newest
from schemas.observation import Partition
from schemas.protocols import Advance, Tally
from schemas.shadow import Outcome, Settlement
from scorer.ledger import SqlLedger
from tests.laws.ward import layout
from trainer.network import Network
from trainer.weights import save_weights

pytestmark = pytest.mark.service
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


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


def test_shards_that_settle_a_watch_together_settle_it_once(engine: Engine, tmp_path: Path) -> None:
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW, shadow_rows=10)
    registry.publish(b"one", None, {})
    for version in (2, 3):
        registry.publish(b"next", version - 1, {})
        trial = registry.shadow()
        assert trial is not None
        registry.settle(trial, Settlement(Outcome.PROMOTED, "better"))
    watch = registry.shadow()
    assert watch is not None
    ends = [Settlement(outcome, outcome.value) for outcome in (Outcome.ROLLED_BACK, Outcome.KEPT)] * 3
    with ThreadPoolExecutor(6) as pool:
        settled = list(pool.map(lambda end: registry.settle(watch, end), ends))
    assert sum(settled) == 1
    assert registry.standing() in {(1, 0), (3, 0)}
    assert registry.shadow() is None


def test_of_a_publication_and_a_rollback_at_once_the_rollback_counts(engine: Engine, tmp_path: Path) -> None:
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW)
    registry.publish(b"one", None, {})
    for _ in range(12):
        begun = registry.publish(b"next", None, {}).version
        with ThreadPoolExecutor(2) as pool:
            published = pool.submit(registry.publish, b"newer", begun, {})
            pool.submit(registry.rollback, 1, "anna", "worse").result()
        serving = [each.version for each in registry.versions() if each.status == "serving"]
        assert (serving, registry.standing()) == ([1], (1, 0)), published.result()


def test_a_rollback_passes_over_versions_of_another_network(engine: Engine, tmp_path: Path) -> None:
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW)
    for width in (16, 8, 16):
        registry.publish(save_weights(Network(layout(width=width))), None, {})
    assert registry.rollback(None, "anna", "worse").version == 1
    registry.publish(save_weights(Network(layout(width=32))), None, {})
    with pytest.raises(ModelError, match="no version of the network that serves is pinned"):
        registry.rollback(None, "anna", "worse")
    with pytest.raises(
        ModelError, match=r"version 1 of .*: made for another network than what serves: width is 16; expected 32;"
    ):
        registry.rollback(1, "anna", "worse")
    assert registry.rollback(1, "anna", "with the file of then", anyway=True).version == 1


def test_files_that_nobody_needs_are_deleted(engine: Engine, tmp_path: Path) -> None:
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW)
    for number in range(PINNED + 3):
        registry.publish(bytes([number]), None, {})
    assert len(list((tmp_path / "models" / "ward").iterdir())) == PINNED + 1


def test_the_version_that_a_whole_checkpoint_judged_by_is_kept_for_replays(engine: Engine, tmp_path: Path) -> None:
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW)
    checkpoints = Checkpoints(engine, "ward", tmp_path, lambda: NOW)
    for version, files in ((1, {SHARED: "", "told-0.pt": ""}), (2, {"told-0.pt": ""})):
        checkpoints.add(Checkpoint(0, None, 1, 1, version, 0, version, f"{version}", files, {}, [[]]))
    for number in range(PINNED + 4):
        registry.publish(bytes([number]), None, {})
    files = sorted(each.name for each in (tmp_path / "models" / "ward").iterdir())
    assert files == [f"v{version:05d}.safetensors" for version in (1, *range(4, PINNED + 5))]


def test_metrics_are_cut_into_equal_spans_of_steps(engine: Engine, tmp_path: Path) -> None:
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW)
    for step, error in ((1, 4.0), (2, 2.0), (4, 1.0)):
        registry.record_metrics(1, step, 100 * step, {"next.mae": error})
    with engine.connect() as connection:
        assert read_courses(connection, "ward", 2) == [Course("next", "mae", (3.0, 1.0))]


def test_how_stale_a_version_was_and_how_far_trainers_are_behind(engine: Engine, tmp_path: Path) -> None:
    now_ms, vitals = int(NOW.timestamp() * 1000), Partition("vitals", 0)
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW)
    registry.publish(b"one", None, {}, newest=Newest(now_ms - 3_600_000, now_ms - 1500))
    registry.record_metrics(1, 7, 100, {"lag": 30.0})
    for name, read in (("ward", 100), (ledger_of_trainers("ward"), 60)):
        ledger = SqlLedger(engine, name, "c", "o", lambda: NOW, timedelta(seconds=9), lambda _: "t")
        ledger.acquire(vitals)
        ledger.commit([], [Advance(vitals, 0, read, Tally(accepted=read), 1)])
    with engine.connect() as connection:
        life = lives(connection)["ward", 1]
        assert behind_of(connection, "ward") == Behind(NOW, 30, 40)
    assert (life["staleness_seconds"], life["record_staleness_seconds"], life["serving_since"]) == (3600.0, 1.5, NOW)
