"""How far trainers are behind: by their last word, and by where the shards stand in the topic that there is now."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, insert

from infra.behind import Behind, behind_of, ledger_of_trainers
from infra.commands.models import models
from infra.registry import SqlRegistry
from schemas.newest import Newest
from schemas.statements import UNSET
from schemas.tables import PartitionRow

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SAID = NOW.isoformat(timespec="milliseconds")


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> SqlRegistry:
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW)
    registry.publish(b"one", None, {})
    return registry


def stand(engine: Engine, name: str, offsets: list[int], topic_id: str = "i", at: datetime = NOW) -> None:
    """Where the partitions' readers of that name stand."""
    row = dict.fromkeys(("accepted", "partly", "dead_lettered", "duplicate", "model_version"), 0)
    row |= {"monitor": name, "cluster": "c", "topic": "vitals", "topic_id": topic_id, "epoch": 1, "owner": "o"}
    row |= {"lease_until": at, "updated_at": at}
    with engine.begin() as connection:
        rows = [row | {"partition": number, "offset": offset} for number, offset in enumerate(offsets)]
        connection.execute(insert(PartitionRow), rows)


def behind(engine: Engine) -> Behind | None:
    with engine.connect() as connection:
        return behind_of(connection, "ward")


def shown(engine: Engine, *words: str) -> str:
    url = engine.url.render_as_string()
    return CliRunner().invoke(models, ["list", *words, "--database", url], catch_exceptions=False).stdout


def test_trainers_are_as_far_behind_the_shards_as_their_offsets_say(registry: SqlRegistry, engine: Engine) -> None:
    registry.record_metrics(1, 7, 100, {"lag": 30.0, "forecast.lag": 4.0})
    stand(engine, "ward", [100, 50, 9])
    stand(engine, ledger_of_trainers("ward"), [60, 55, UNSET])  # a trainer may be ahead of a shard
    assert behind(engine) == Behind(NOW, 30, 40 + 9)


def test_what_trainers_knew_of_counts_though_shards_have_not_scored_it(registry: SqlRegistry, engine: Engine) -> None:
    registry.record_metrics(1, 7, 100, {"lag": 80.0})
    stand(engine, "ward", [100])
    stand(engine, ledger_of_trainers("ward"), [60])
    assert behind(engine) == Behind(NOW, 80, 80)


def test_the_last_word_counts(registry: SqlRegistry, engine: Engine) -> None:
    registry.record_metrics(1, 7, 100, {"lag": 30.0})
    later = SqlRegistry(engine, "ward", registry.directory, lambda: NOW + timedelta(seconds=15))
    later.record_metrics(1, 9, 200, {"lag": 12.0})
    other = SqlRegistry(engine, "mill", registry.directory, lambda: NOW + timedelta(seconds=30))
    other.record_metrics(1, 9, 200, {"lag": 99.0})
    assert behind(engine) == Behind(NOW + timedelta(seconds=15), 12, 12)


def test_of_a_topic_that_was_made_anew_the_former_one_does_not_count(registry: SqlRegistry, engine: Engine) -> None:
    registry.record_metrics(1, 7, 100, {"lag": 0.0})
    for topic_id, at, scored, read in (("former", NOW, 900, 100), ("anew", NOW + timedelta(seconds=1), 20, 15)):
        stand(engine, "ward", [scored], topic_id, at)
        stand(engine, ledger_of_trainers("ward"), [read], topic_id, at)
    assert behind(engine) == Behind(NOW, 0, 5)


def test_of_a_topic_that_trainers_never_read_they_are_behind_all(registry: SqlRegistry, engine: Engine) -> None:
    registry.record_metrics(1, 7, 100, {"lag": 0.0})
    stand(engine, "ward", [20])
    assert behind(engine) == Behind(NOW, 0, 20)


def test_the_list_says_what_serves_and_how_far_trainers_are_behind(registry: SqlRegistry, engine: Engine) -> None:
    written_ms = int(NOW.timestamp() * 1000) - 2000
    registry.publish(b"two", 1, {}, newest=Newest(written_ms, written_ms))
    registry.record_metrics(2, 7, 100, {"lag": 1234.0})
    stand(engine, "ward", [5000])
    stand(engine, ledger_of_trainers("ward"), [200])
    two, one = json.loads(shown(engine, "ward", "--json"))
    assert (two["serving_since"], two["written_until"]) == (SAID, "2026-01-31T11:59:58.000+00:00")
    assert two["trainers"] == {"heard_at": SAID, "then": 1234, "now": 4800}
    assert not {"trainers", "serving_since"} & one.keys()
    line = shown(engine, "ward").splitlines()[-1]
    assert line.startswith("ward: v2 serves since 2026-01-31 12:00:00 (")
    assert "its newest record written 2026-01-31 11:59:58 (" in line
    assert "1,234 records behind, 4,800 with what shards have scored since" in line


def test_what_nobody_said_is_a_dash(engine: Engine, tmp_path: Path) -> None:
    fitted = SqlRegistry(engine, "ward", tmp_path, lambda: NOW)
    fitted.publish(b"one", None, {}, made_by="train")
    (row,) = json.loads(shown(engine, "--json"))
    assert (row["trainers"], row.get("record_staleness_seconds"), row.get("staleness_seconds")) == (None, None, None)
    assert shown(engine).splitlines()[-1].endswith("its newest record written -; trainers -")


def test_the_list_is_of_one_monitor_where_one_is_named(registry: SqlRegistry, engine: Engine) -> None:
    SqlRegistry(engine, "mill", registry.directory, lambda: NOW).publish(b"one", None, {})
    listed = [[row["monitor"] for row in json.loads(shown(engine, *words, "--json"))] for words in ((), ("mill",))]
    assert listed == [["mill", "ward"], ["mill"]]
    url = engine.url.render_as_string()
    both = CliRunner().invoke(models, ["list", "mill", "--monitor", "ward", "--database", url])
    assert (both.exit_code, "got a monitor and --monitor; expected one of them" in both.output) == (2, True)
