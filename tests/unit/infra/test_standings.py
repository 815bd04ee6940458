"""Where versions stand: every change is a row, what served well can be gone back to, what nobody needs is deleted."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, insert, select

from infra.commands.models import models
from infra.registry import SqlRegistry
from infra.standings import PINNED
from schemas.errors import ModelError
from schemas.newest import Newest
from schemas.tables import AlertEventRow, AlertRow, PartitionRow, SwapRow
from schemas.versions import ModelEventRow

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PARTITION = {"monitor": "health", "cluster": "c", "topic": "t", "topic_id": "i", "partition": 0}


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> SqlRegistry:
    return SqlRegistry(engine, "health", tmp_path, lambda: NOW)


def standings(registry: SqlRegistry) -> dict[int, str]:
    return {record.version: record.status for record in registry.versions()}


def told(engine: Engine) -> list[tuple[int, str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(select(ModelEventRow.__table__).order_by(ModelEventRow.id)).all()
    return [(row.version, row.standing, row.who) for row in rows]


def files(directory: Path) -> list[str]:
    return sorted(file.name for file in (directory / "models" / "health").iterdir())


def test_a_rollback_lets_the_last_good_version_serve_and_says_who_did_it(registry: SqlRegistry, engine: Engine) -> None:
    for each in (b"one", b"two", b"three"):
        registry.publish(each, None, {})
    assert registry.rollback(None, "ann", "alarms for nothing").version == 2
    assert standings(registry) == {3: "rolled back", 2: "serving", 1: "pinned"}
    assert told(engine)[-2:] == [(3, "rolled back", "ann"), (2, "serving", "ann")]


def test_a_rollback_goes_to_the_version_it_is_told(registry: SqlRegistry) -> None:
    for each in (b"one", b"two", b"three"):
        registry.publish(each, None, {})
    registry.rollback(1, "ann", "the last two are bad")
    assert standings(registry) == {3: "rolled back", 2: "pinned", 1: "serving"}


def test_a_second_rollback_does_not_return_to_what_was_rolled_back(registry: SqlRegistry) -> None:
    for each in (b"one", b"two", b"three"):
        registry.publish(each, None, {})
    found = [registry.rollback(None, "ann", "bad").version for _ in range(2)]
    assert found == [2, 1]


def test_a_rollback_goes_to_what_served_last_not_to_the_highest_number(registry: SqlRegistry) -> None:
    for each in (b"one", b"two", b"three"):
        registry.publish(each, None, {})
    registry.promote(1, "ann", "three is bad")
    registry.publish(b"four", None, {})
    assert registry.rollback(None, "ann", "bad").version == 1


def test_without_a_version_that_served_before_there_is_no_way_back(registry: SqlRegistry) -> None:
    registry.publish(b"one", None, {})
    with pytest.raises(ModelError, match="no version is pinned; expected one that served before"):
        registry.rollback(None, "ann", "bad")


def test_a_version_that_serves_is_not_promoted_again(registry: SqlRegistry) -> None:
    registry.publish(b"one", None, {})
    with pytest.raises(ModelError, match="version 1 of monitor health: serves already"):
        registry.promote(1, "ann", "")


def test_a_version_whose_weights_are_gone_does_not_serve(registry: SqlRegistry) -> None:
    first = registry.publish(b"one", None, {})
    registry.publish(b"two", 1, {})
    Path(first.path).unlink()
    with pytest.raises(ModelError, match="its weights are no longer kept; expected one whose weights are"):
        registry.promote(1, "ann", "")
    assert standings(registry) == {2: "serving", 1: "pinned"}


def test_only_the_files_of_the_last_good_versions_stay(registry: SqlRegistry, tmp_path: Path) -> None:
    for number in range(PINNED + 4):
        registry.publish(bytes([number]), None, {})
    kept = range(4, PINNED + 5)
    assert files(tmp_path) == [f"v{version:05d}.safetensors" for version in kept]
    assert [v for v, status in standings(registry).items() if status == "retired"] == [3, 2, 1]


def test_a_file_that_a_restart_would_replay_with_stays(registry: SqlRegistry, engine: Engine, tmp_path: Path) -> None:
    tallies = dict.fromkeys(("accepted", "partly", "dead_lettered", "duplicate"), 0)
    row = PARTITION | tallies | {"offset": 9, "epoch": 1, "owner": "o", "model_version": 2}
    with engine.begin() as connection:
        connection.execute(insert(PartitionRow), row | {"lease_until": NOW, "updated_at": NOW})
        connection.execute(insert(SwapRow), PARTITION | {"offset": 0, "version": 2, "recorded_at": NOW})
    for number in range(PINNED + 4):
        registry.publish(bytes([number]), None, {})
    assert files(tmp_path)[:2] == ["v00002.safetensors", "v00004.safetensors"]


@pytest.mark.parametrize(("age", "kept"), [(timedelta(hours=1), True), (timedelta(days=2), False)])
def test_a_file_by_which_a_late_alert_can_be_explained_stays(
    registry: SqlRegistry, engine: Engine, tmp_path: Path, age: timedelta, kept: bool
) -> None:
    alert = {"id": "a", "monitor": "health", "entity": "e", "task": "anomaly", "kind": "tail", "severity": "warning"}
    alert |= {"phase": "open", "score": 3.0, "probability": 1.0, "summary": "", "reasons": [], "rung": "detector"}
    alert |= {"model_version": 1, "topic": "t", "partition": 0, "offset": 0}
    alert |= dict.fromkeys(("started_at", "peak_at", "event_time", "known_at"), NOW - age)
    event = {"id": "b", "alert_id": "a", "change": "escalated", "event_time": NOW - age, "recorded_at": NOW - age}
    event |= {"severity": "warning", "score": 3.0, "model_version": 2, "partition": 0, "offset": 0}
    with engine.begin() as connection:
        connection.execute(insert(AlertRow), alert)
        connection.execute(insert(AlertEventRow), event)
    for number in range(PINNED + 4):
        registry.publish(bytes([number]), None, {})
    assert ("v00002.safetensors" in files(tmp_path)) == kept


def test_a_rollback_whose_weights_are_gone_changes_nothing(registry: SqlRegistry) -> None:
    first = registry.publish(b"one", None, {})
    registry.publish(b"two", 1, {})
    Path(first.path).unlink()
    with pytest.raises(ModelError, match="no longer kept"):
        registry.rollback(None, "ann", "bad")
    assert standings(registry) == {2: "serving", 1: "pinned"}


def test_a_version_that_is_tried_is_let_go_of_when_another_one_serves(engine: Engine, tmp_path: Path) -> None:
    registry = SqlRegistry(engine, "health", tmp_path, lambda: NOW, shadow_rows=10)
    registry.publish(b"one", None, {})
    registry.promote(registry.publish(b"two", 1, {}).version, "ann", "sure")
    registry.publish(b"three", 2, {})
    registry.rollback(1, "ann", "bad")
    assert (standings(registry), registry.shadow()) == ({3: "retired", 2: "rolled back", 1: "serving"}, None)


def test_commands_promote_and_roll_back(registry: SqlRegistry) -> None:
    url = registry.engine.url.render_as_string()
    for each in (b"one", b"two", b"three"):
        registry.publish(each, None, {})
    said = [
        CliRunner().invoke(models, [*words, "--database", url], catch_exceptions=False).output.splitlines()[-1]
        for words in (["promote", "1"], ["rollback", "--why", "worse"], ["rollback", "--to", "2", "--why", "worse"])
    ]
    assert said == [
        "health: v1 serves",
        "health: v3 serves again, v1 is rolled back",
        "health: v2 serves again, v3 is rolled back",
    ]


def test_a_command_refuses_a_version_nobody_knows(registry: SqlRegistry) -> None:
    registry.publish(b"one", None, {})
    url = registry.engine.url.render_as_string()
    with pytest.raises(ModelError, match=r"version 7 of monitor health: unknown; expected one of v1$"):
        CliRunner().invoke(models, ["promote", "7", "--database", url], catch_exceptions=False)


@pytest.mark.parametrize("words", [["promote", "1"], ["rollback", "--to", "1", "--why", "worse"]])
def test_a_version_whose_weights_were_pruned_is_answered_with_those_that_are_kept(
    registry: SqlRegistry, words: list[str]
) -> None:
    for each in (b"one", b"two", b"three"):
        registry.publish(each, None, {})
    Path(registry.get(1).path).unlink()
    url = registry.engine.url.render_as_string()
    expected = r"version 1 of monitor health: its weights are no longer kept; expected one of v2$"
    with pytest.raises(ModelError, match=expected):
        CliRunner().invoke(models, [*words, "--database", url], catch_exceptions=False)


def test_the_list_says_why_a_version_stands_there_and_how_fresh_it_was(registry: SqlRegistry, engine: Engine) -> None:
    now_ms = int(NOW.timestamp() * 1000)
    registry.publish(b"one", None, {}, newest=Newest(now_ms - 86_400_000, now_ms - 2500))
    swap = PARTITION | {"offset": 0, "version": 1, "recorded_at": NOW + timedelta(seconds=0.5)}
    with engine.begin() as connection:
        connection.execute(insert(SwapRow), swap)
    words = ["list", "--json", "--database", engine.url.render_as_string()]
    (row,) = json.loads(CliRunner().invoke(models, words, catch_exceptions=False).stdout)
    assert (row["why"], row["who"], row["taken_up_seconds"]) == ("published", "trainer", 0.5)
    assert (row["staleness_seconds"], row["record_staleness_seconds"]) == (86_400.5, 3)
    assert (row["written_until"], row["serving_since"]) == (
        "2026-01-31T11:59:57.500+00:00",
        "2026-01-31T12:00:00.000+00:00",
    )
    assert "3s" in (shown := CliRunner().invoke(models, [*words[:1], *words[2:]]).stdout)
    assert "(1d)" in shown


def test_the_list_says_how_long_each_candidate_had_to_prove_itself(engine: Engine, tmp_path: Path) -> None:
    moments = iter(NOW + timedelta(minutes=minute) for minute in itertools.count())
    registry = SqlRegistry(engine, "health", tmp_path, lambda: next(moments))
    registry.publish(b"one", None, {})
    registry.publish(b"two", 1, {})
    registry.publish(b"three", 2, {}, made_by="train")
    registry.publish(b"four", 3, {})
    said = CliRunner().invoke(models, ["list", "--json", "--database", engine.url.render_as_string()]).stdout
    assert [row.get("gate_seconds") for row in json.loads(said.splitlines()[-1])] == [60.0, None, 60.0, None]
