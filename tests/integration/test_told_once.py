"""What trainers tell of their steps, on both databases: what they do anew is not told twice."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, select

from infra.checkpoints import SHARED, Checkpoint, Checkpoints
from infra.registry import SqlRegistry
from schemas.errors import FencedError
from schemas.observation import Partition
from schemas.protocols import Action
from schemas.tables import LearningActionRow, QuarantineRow, TaskMetricRow

pytestmark = pytest.mark.service
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> SqlRegistry:
    return SqlRegistry(engine, "ward", tmp_path, lambda: NOW)


def tell(registry: SqlRegistry, step: int) -> None:
    """All that a step may tell."""
    registry.record_metrics(1, step, 16 * step, {"next.loss": 0.5})
    registry.record_action(1, step, 16 * step, Action("alarm", "next", "0.8 before, 1.9 now"))
    registry.quarantine(f"step {step}", {Partition("ward", 0): (step, step + 1)})


def told(engine: Engine, monitor: str = "ward") -> tuple[list[int], list[int], list[str]]:
    """Steps of metrics, steps of actions, and reasons of the quarantine."""
    columns = (TaskMetricRow.step, LearningActionRow.step, QuarantineRow.reason)
    with engine.connect() as connection:
        metrics, actions, reasons = (
            list(connection.execute(select(each).where(each.class_.monitor == monitor).order_by(each)).scalars())
            for each in columns
        )
    return metrics, actions, reasons


def checkpoint(checkpoints: Checkpoints, step: int) -> Checkpoint:
    """Recorded, and read as those see it who go on from it."""
    folder = checkpoints.folder(1, step, "")
    files = {SHARED: checkpoints.write(folder, SHARED, b"weights")}
    checkpoints.add(Checkpoint(0, None, 1, 1, step, 16 * step, 1, folder, files, {}, [[]], checkpoints.told()))
    return checkpoints.all()[0]


def anybody(_: Connection) -> None:
    """Nobody took over."""


def test_what_was_told_after_a_checkpoint_is_taken_back_by_those_who_go_on_from_it(
    engine: Engine, registry: SqlRegistry, tmp_path: Path
) -> None:
    other = replace(registry, monitor="mill")
    checkpoints = Checkpoints(engine, "ward", tmp_path, lambda: NOW)
    tell(registry, 1)
    written = checkpoint(checkpoints, 1)
    tell(registry, 2)
    tell(other, 2)
    registry.record_metrics(2, 0, 900, {"next.similarity_odd": 0.5})  # a fit's, meanwhile

    checkpoints.go_on_from(written, anybody)

    assert told(engine) == ([0, 1], [1], ["step 1"])
    assert told(engine, "mill") == ([2], [2], ["step 2"])
    tell(registry, 2)
    assert told(engine) == ([0, 1, 2], [1, 2], ["step 1", "step 2"])


def test_after_a_checkpoint_that_does_not_know_what_was_told_nothing_is_taken_back(
    engine: Engine, registry: SqlRegistry, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(engine, "ward", tmp_path, lambda: NOW)
    tell(registry, 1)
    checkpoints.go_on_from(replace(checkpoint(checkpoints, 1), told={}), anybody)
    assert told(engine) == ([1], [1], ["step 1"])


def test_trainers_that_were_followed_tell_nothing_more(engine: Engine, registry: SqlRegistry, tmp_path: Path) -> None:
    def followed(_: Connection) -> None:
        raise FencedError("others learn")

    late = replace(registry, fence=followed)
    for what in (
        lambda: late.record_metrics(1, 1, 16, {"next.loss": 0.5}),
        lambda: late.record_action(1, 1, 16, Action("alarm", "next", "why")),
        lambda: late.quarantine("spike", {}),
        lambda: Checkpoints(engine, "ward", tmp_path, lambda: NOW).go_on_from(
            checkpoint(Checkpoints(engine, "ward", tmp_path, lambda: NOW), 1), followed
        ),
    ):
        with pytest.raises(FencedError):
            what()
    assert told(engine) == ([], [], [])
