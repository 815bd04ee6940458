"""The registry: numbered, durable, checked weights; exactly one serves."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, Engine, event, select, text

from infra.commands.models import models
from infra.registry import SqlRegistry
from schemas.errors import FencedError, InputError, ModelError
from schemas.observation import Partition
from schemas.protocols import Action
from schemas.tables import QuarantineRow, TaskMetricRow

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> SqlRegistry:
    return SqlRegistry(engine, "health", tmp_path, lambda: NOW)


def test_nothing_serves_before_the_first_version(registry: SqlRegistry) -> None:
    assert registry.serving() is None


def test_a_published_version_serves_and_the_one_before_is_pinned(registry: SqlRegistry) -> None:
    registry.publish(b"one", None, {"forecast.mae": 0.5})
    second = registry.publish(b"two", 1, {})
    standing = [(record.version, record.parent, record.status) for record in registry.versions()]
    assert (registry.serving(), standing) == (second, [(2, 1, "serving"), (1, None, "pinned")])


def test_what_serves_is_a_fallback_until_a_newer_version_takes_the_place_of_the_one_rolled_back(
    registry: SqlRegistry,
) -> None:
    registry.publish(b"one", None, {})
    registry.publish(b"two", 1, {})
    seen = [registry.serving()]
    registry.rollback(None, "anna", "worse")
    seen.append(registry.serving())
    registry.publish(b"three", 1, {})
    seen.append(registry.serving())
    assert [(record.version, record.fallback) for record in seen] == [(2, False), (1, True), (3, False)]


def test_weights_come_back_as_published(registry: SqlRegistry, tmp_path: Path) -> None:
    record = registry.publish(b"weights", None, {})
    assert (registry.load(registry.get(1)), record.path) == (
        b"weights",
        str(tmp_path / "models" / "health" / "v00001.safetensors"),
    )


def test_nothing_half_written_is_left_beside_the_weights(registry: SqlRegistry, tmp_path: Path) -> None:
    registry.publish(b"weights", None, {})
    assert [file.name for file in (tmp_path / "models" / "health").iterdir()] == ["v00001.safetensors"]


def test_altered_weights_are_refused(registry: SqlRegistry) -> None:
    record = registry.publish(b"weights", None, {})
    Path(record.path).write_bytes(b"weightz")
    with pytest.raises(ModelError, match="SHA-256"):
        registry.load(record)


def test_missing_weights_are_refused(registry: SqlRegistry) -> None:
    record = registry.publish(b"weights", None, {})
    Path(record.path).unlink()
    with pytest.raises(ModelError, match="No such file"):
        registry.load(record)


def test_an_unknown_version_is_refused(registry: SqlRegistry) -> None:
    with pytest.raises(ModelError, match="version 7 of monitor health: unknown"):
        registry.get(7)


def test_a_version_whose_file_cannot_be_written_is_not_published(registry: SqlRegistry, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(ModelError, match="cannot be written"):
        registry.publish(b"weights", None, {})
    assert registry.versions() == []


def test_a_trainer_that_was_followed_publishes_nothing(registry: SqlRegistry) -> None:
    def followed(_: Connection) -> None:
        raise FencedError("another one")

    registry.publish(b"first", None, {})
    with pytest.raises(FencedError, match="another one"):
        replace(registry, fence=followed).publish(b"late", 1, {})
    assert [each.version for each in registry.versions()] == [1]


def test_a_publisher_beaten_to_its_number_tries_again(engine: Engine, registry: SqlRegistry) -> None:
    raced: list[str] = []

    def race(_connection: object, cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("INSERT INTO model_versions") and not raced:
            raced.append(statement)
            cursor.execute(  # type: ignore[attr-defined]
                "INSERT INTO model_versions"
                " VALUES ('health', 1, NULL, 'serving', 'f', 'd', '{}', '2026-01-31', 'trainer')"
            )

    event.listen(engine, "before_cursor_execute", race)
    assert registry.publish(b"weights", None, {}).version == 1
    assert len(raced) == 1


def test_monitors_number_their_versions_apart(engine: Engine, registry: SqlRegistry, tmp_path: Path) -> None:
    registry.publish(b"one", None, {})
    other = SqlRegistry(engine, "finance", tmp_path, lambda: NOW)
    assert (other.serving(), other.publish(b"f", None, {}).version, len(registry.versions())) == (None, 1, 1)


def test_metrics_are_stored_by_task_without_those_that_are_not_finite(engine: Engine, registry: SqlRegistry) -> None:
    registry.record_metrics(3, 40, 500, {"forecast.mae": 0.5, "loss": 1.5, "anomaly.auroc": math.nan})
    with engine.connect() as connection:
        rows = connection.execute(
            select(TaskMetricRow.version, TaskMetricRow.task, TaskMetricRow.metric, TaskMetricRow.value)
        ).all()
    assert [tuple(row) for row in rows] == [(3, "forecast", "mae", 0.5), (3, "", "loss", 1.5)]


def test_figures_of_steps_are_kept_for_so_long_and_those_of_a_fit_for_good(
    engine: Engine, registry: SqlRegistry, tmp_path: Path
) -> None:
    other = SqlRegistry(engine, "finance", tmp_path, lambda: NOW)
    for each, step in ((registry, 0), (registry, 7), (other, 7)):
        each.record_metrics(1, step, 500, {"loss": 1.0})
    later = replace(registry, clock=lambda: NOW + timedelta(days=8))
    later.record_metrics(1, 8, 900, {"loss": 0.5})
    later.forget_metrics(timedelta(days=7))
    with engine.connect() as connection:
        rows = connection.execute(select(TaskMetricRow.monitor, TaskMetricRow.step).order_by(TaskMetricRow.id)).all()
    assert [tuple(row) for row in rows] == [(registry.monitor, 0), ("finance", 7), (registry.monitor, 8)]


def test_a_refused_batch_is_kept_with_its_offsets(engine: Engine, registry: SqlRegistry) -> None:
    registry.quarantine("loss is not finite", {Partition("vitals", 1): (10, 20)})
    with engine.connect() as connection:
        row = connection.execute(select(QuarantineRow.reason, QuarantineRow.offsets, QuarantineRow.recorded_at)).one()
    assert tuple(row) == ("loss is not finite", {"vitals/1": [10, 20]}, NOW)


def test_looking_at_the_serving_version_waits_for_no_writer(engine: Engine, registry: SqlRegistry) -> None:
    registry.publish(b"weights", None, {})
    with engine.begin() as writer:
        writer.execute(text("UPDATE model_versions SET status = 'retired'"))
        record = registry.serving()
    assert record is not None


def test_the_command_lists_versions(registry: SqlRegistry) -> None:
    registry.publish(b"weights", None, {"forecast.mae": 0.5})
    url = registry.engine.url.render_as_string()
    (row,) = json.loads(CliRunner().invoke(models, ["list", "--json", "--database", url]).stdout)
    assert (row["version"], row["status"], row["metrics"], row["created_at"]) == (
        1,
        "serving",
        {"forecast.mae": 0.5},
        "2026-01-31T12:00:00.000+00:00",
    )


def test_of_many_versions_the_newest_are_listed_and_the_one_that_serves(
    engine: Engine, registry: SqlRegistry, tmp_path: Path
) -> None:
    other = SqlRegistry(engine, "finance", tmp_path, lambda: NOW)
    for _ in range(4):
        registry.publish(b"weights", None, {})
        other.publish(b"weights", None, {})
    registry.promote(1, "anna", "better")
    url = registry.engine.url.render_as_string()
    told = json.loads(CliRunner().invoke(models, ["list", "--limit", "2", "--json", "--database", url]).stdout)
    listed = [(each["monitor"], each["version"]) for each in told]
    assert listed == [("finance", 4), ("finance", 3), ("health", 4), ("health", 3), ("health", 1)]


def test_people_are_shown_one_metric_a_task_and_which_way_serves(registry: SqlRegistry) -> None:
    metrics = {"forecast.mase_h1": 0.913, "forecast.mase_h5": 0.98, "heat.auroc": 0.7, "heat.detached": 1.0}
    registry.publish(b"weights", None, metrics)
    url = registry.engine.url.render_as_string()
    shown = CliRunner().invoke(models, ["list", "--database", url]).stdout
    assert ("forecast.mase_h1 0.913" in shown, "mase_h5" in shown, "heat.detached" in shown) == (True, False, False)
    assert "2026-01-31 12:00" in shown


def test_whoever_publishes_a_first_version_second_gets_the_one_that_serves(registry: SqlRegistry) -> None:
    first, second = registry.publish_first(b"mine"), registry.publish_first(b"another's")

    assert (second, registry.load(second), len(registry.versions())) == (first, b"mine", 1)


def test_the_command_lists_what_learning_did_and_refused(registry: SqlRegistry) -> None:
    registry.publish(b"weights", None, {})
    registry.record_action(3, 40, 500, Action("alarm", "forecast", "0.8 before, 1.9 now"))
    registry.quarantine("loss spike", {Partition("ward", 0): (7, 9)})
    url = registry.engine.url.render_as_string()
    found = json.loads(CliRunner().invoke(models, ["actions", "health", "--json", "--database", url]).stdout)
    at = "2026-01-31T12:00:00.000+00:00"
    assert [list(row.values()) for row in found] == [
        ["health", 3, 40, 500, "forecast", "alarm", "0.8 before, 1.9 now", None, at],
        ["health", None, None, None, None, "quarantine", "loss spike", {str(Partition("ward", 0)): [7, 9]}, at],
    ]
    shown = CliRunner().invoke(models, ["actions", "--database", url]).stdout
    assert ("loss spike" in shown, "offsets" in shown) == (True, False)


@pytest.mark.parametrize("words", [["list", "--monitor", "nope"], ["list", "nope"], ["actions", "nope"]])
def test_an_unknown_monitor_is_answered_with_those_that_have_versions(registry: SqlRegistry, words: list[str]) -> None:
    registry.publish(b"weights", None, {})
    url = registry.engine.url.render_as_string()
    error = CliRunner().invoke(models, [*words, "--database", url]).exception
    assert (type(error), str(error)) == (InputError, "monitor nope: unknown; expected one of health")


def test_what_trainers_proved_against_a_version_that_serves_no_more_does_not_serve(registry: SqlRegistry) -> None:
    registry.publish(b"one", None, {})
    anew = registry.publish(b"anew", 1, {}, made_by="relearn")
    late = registry.publish(b"late", 1, {})
    assert (late.status, registry.get(late.version).status, registry.serving()) == ("retired", "retired", anew)
    assert registry.publish(b"next", anew.version, {}).status == "serving"
