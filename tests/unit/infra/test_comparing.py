"""Two versions side by side: which alerts would be others, and by how much the losses differ."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, insert, select

from infra.commands.models import models
from infra.database import connect, migrate
from infra.registry import SqlRegistry
from schemas.errors import InputError
from schemas.tables import AlertEventRow, AlertRow
from schemas.versions import ShadowAlertRow, ShadowRow, ShadowTallyRow

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
PLACE = {"topic": "t", "partition": 0}
SUMS = {"forecast.h1.loss": [400.0, 400.0, 360.0, 8.0], "forecast.h1.coverage": [400.0, 300.0, 320.0]}


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


def raise_alert(engine: Engine, entity: str, start: int, end: int, offset: int) -> None:
    """The champion's."""
    row = {"id": entity, "monitor": "ward", "entity": entity, "task": "anomaly", "kind": "tail", "phase": "resolved"}
    row |= {"severity": "warning", "started_at": minutes(start), "peak_at": NOON, "ended_at": minutes(end)}
    row |= {"event_time": NOON, "known_at": NOON, "score": 3.0, "probability": 1.0, "summary": "", "reasons": []}
    row |= {"model_version": 1, "rung": "detector", "offset": offset} | PLACE
    event = {"id": entity, "alert_id": entity, "change": "opened", "event_time": NOON, "recorded_at": NOON}
    event |= {"severity": "warning", "score": 3.0, "model_version": 1, "partition": 0, "offset": offset}
    with engine.begin() as connection:
        connection.execute(insert(AlertRow), row)
        connection.execute(insert(AlertEventRow), event)


def would_raise(engine: Engine, entity: str, start: float, end: float | None) -> None:
    """The challenger's."""
    row = {"shadow": 1, "entity": entity, "task": "anomaly", "kind": "tail", "severity": "warning", "offset": 1}
    row |= {"started_at": minutes(start), "ended_at": None if end is None else minutes(end)} | PLACE
    with engine.begin() as connection:
        connection.execute(insert(ShadowAlertRow), row)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A trial of v2 in the shadow of v1 on offsets 0 to 99."""
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    engine = connect(url)
    migrate(engine)
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOON, shadow_rows=1000)
    registry.publish(b"one", None, {"forecast.mae": 0.5})
    registry.publish(b"two", 1, {"forecast.mae": 0.4})
    with engine.begin() as connection:
        shadow = connection.execute(select(ShadowRow.id)).scalar_one()
        key = {"shadow": shadow, "cluster": "c", "topic_id": "i"} | PLACE
        connection.execute(insert(ShadowTallyRow), key | {"first": 0, "next": 100, "rows": 400, "sums": SUMS})
    for number, (entity, start) in enumerate((("same", 0), ("removed", 0), ("earlier", 10), ("later", 10))):
        raise_alert(engine, entity, start, start + 5, number)
    raise_alert(engine, "after the shadow", 0, 5, 100)
    for entity, start in (("same", 0), ("added", 0), ("earlier", 7), ("later", 12)):
        would_raise(engine, entity, start, None if entity == "later" else start + 5)
    engine.dispose()
    return url


def asked(url: str, first: str, second: str) -> dict[str, object]:
    words = ["compare", first, second, "--database", url, "--json"]
    found: dict[str, object] = json.loads(CliRunner().invoke(models, words, catch_exceptions=False).stdout)
    return found


def test_the_alerts_of_the_second_version_are_told_by_how_they_differ_from_the_firsts(url: str) -> None:
    alerts = asked(url, "1", "2")["alerts"]
    told = {name: [each["entity"] for each in found] for name, found in alerts.items() if name != "same"}
    assert (alerts["same"], told) == (1, {name: [name] for name in ("added", "removed", "earlier", "later")})
    assert [alerts[name][0]["by_seconds"] for name in ("earlier", "later")] == [180.0, 120.0]


def test_seen_from_the_other_version_everything_is_turned_round(url: str) -> None:
    found = asked(url, "2", "1")
    told = {
        name: [each["entity"] for each in found["alerts"][name]] for name in ("added", "removed", "earlier", "later")
    }
    assert told == {"added": ["removed"], "removed": ["added"], "earlier": ["later"], "later": ["earlier"]}
    assert found["tasks"]["forecast.h1"]["losses"] == [0.9, 1.0]
    assert found["calibration"]["forecast.h1.coverage"] == [0.8, 0.75]


def test_losses_differ_by_their_mean_with_bounds(url: str) -> None:
    task = asked(url, "1", "2")["tasks"]["forecast.h1"]
    assert (task["n"], task["losses"], task["difference"]) == (400, [1.0, 0.9], pytest.approx(-0.1))
    assert task["bounds"] == pytest.approx([-0.1 - 0.00823, -0.1 + 0.00823], abs=1e-4)


def test_a_watch_that_saw_nothing_yet_does_not_hide_the_trial(url: str) -> None:
    watch = {"monitor": "ward", "champion": 2, "challenger": 1, "role": "watch", "rows": 1000, "started_at": NOON}
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(insert(ShadowRow), watch)
    engine.dispose()
    assert asked(url, "1", "2")["shadow"]["role"] == "trial"


def test_people_read_the_same(url: str) -> None:
    said = CliRunner().invoke(models, ["compare", "1", "2", "--database", url], catch_exceptions=False).output
    assert said.splitlines()[:3] == [
        "  forecast.mae             0.5 -> 0.4",
        "on 400 rows (of 1000) that both scored, trial: not settled yet",
        "  forecast.h1 loss         1.0000 -> 0.9000  -0.1000 (-0.1082 to -0.0918), 400 answers",
    ]
    assert "alerts: 1 the same, 1 added, 1 removed, 1 earlier, 1 later" in said


def test_a_version_is_not_compared_with_itself(url: str) -> None:
    with pytest.raises(InputError, match="model version 2 of monitor ward: got it twice; expected two versions"):
        asked(url, "2", "2")


def test_a_version_nobody_knows_is_answered_with_those_there_are(url: str) -> None:
    with pytest.raises(InputError, match="model version 7 of monitor ward: unknown; the newest are 2, 1"):
        asked(url, "1", "7")
