"""How well tasks did over time: means of equal spans of steps, and every value for TensorBoard."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from infra.commands.models import models
from infra.database import connect, migrate
from infra.prequential import Course, read_courses
from infra.registry import SqlRegistry
from schemas.errors import InputError

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'bellwether.db'}")
    migrate(engine)
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW)
    registry.publish(b"one", None, {})
    for step, error in ((1, 4.0), (2, 2.0), (4, 1.0)):
        registry.record_metrics(1, step, 100 * step, {"next.mae": error} | ({"loss": 7.0} if step == 1 else {}))
    yield engine
    engine.dispose()


def told(engine: Engine, *words: str) -> str:
    words = ("metrics", *words, "--database", engine.url.render_as_string())
    return CliRunner().invoke(models, words, catch_exceptions=False).output


def test_a_course_is_the_mean_of_each_span_of_steps(engine: Engine) -> None:
    with engine.connect() as connection:
        found = read_courses(connection, "ward", 2)
    assert found == [Course("", "loss", (7.0, None)), Course("next", "mae", (3.0, 1.0))]


def test_nothing_was_learned_yet(engine: Engine) -> None:
    with engine.connect() as connection:
        assert read_courses(connection, "other", 2) == []


def test_the_command_tells_programs(engine: Engine) -> None:
    assert json.loads(told(engine, "--spans", "1", "--json"))[1] == {"task": "next", "metric": "mae", "means": [7 / 3]}


def test_every_value_is_written_for_tensorboard(engine: Engine, tmp_path: Path) -> None:
    told(engine, "--tensorboard", str(tmp_path / "curves"))
    events = EventAccumulator(str(tmp_path / "curves" / "ward")).Reload()
    found = {name: [(each.step, each.value) for each in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert found == {"next/mae": [(1, 4.0), (2, 2.0), (4, 1.0)], "loss": [(1, 7.0)]}


def test_curves_that_cannot_be_written_are_refused_by_where(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "curves"
    with pytest.raises(InputError, match=f"--tensorboard: got {path}: Not a directory; expected a folder that can"):
        told(engine, "--tensorboard", str(path))


def test_the_command_tells_people(engine: Engine) -> None:
    assert "mae" in told(engine)
