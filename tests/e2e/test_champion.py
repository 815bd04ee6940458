"""A version is tried in the shadow while the program runs, serves, and is taken out of service by a word."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from sqlalchemy import select

from infra.database import connect, migrate
from infra.settings import load_monitor
from schemas.tables import SwapRow
from schemas.versions import ModelEventRow, ShadowRow
from scorer.alerts import reading
from tests.e2e.learned import checkpoints_of
from tests.e2e.program import BELLWETHER, Program, wait_for
from tests.e2e.stream import Record, Sending, tallies, wait_until_accounted
from tests.e2e.test_trainer_group import message

pytestmark = pytest.mark.service

ENTITIES, ROWS, RATE = 64, 500, 400.0


def records() -> list[Record]:
    """Rows of all entities, each an autoregressive walk: there is something to learn."""
    rng, level, found = np.random.default_rng(0), np.zeros((ENTITIES, 2)), []
    for step in range(ROWS):
        level = 0.9 * level + rng.normal(0.0, 1.0, level.shape)
        found += [message(f"p{entity}", step, *level[entity]) for entity in range(ENTITIES)]
    return found


def described(kafka: str, topic: str, directory: Path) -> Path:
    """A monitor whose versions are tried on 1,500 rows before they serve."""
    path = directory / "ward.yaml"
    signals = [{"name": name, "range": [0, 200]} for name in ("hr", "rr")]
    content = {
        "monitor": "ward",
        "topics": {"observations": topic},
        "modalities": [{"name": "vitals", "signals": signals}],
        "tasks": [{"name": "next", "kind": "forecast", "horizons": [1]}, {"name": "odd", "kind": "anomaly"}],
        "model": {"width": 16},
        "training": {"window": 8, "windows_per_step": 16, "gate_windows": 64, "shadow_rows": 1_500},
        "kafka": {"bootstrap_servers": kafka, "group_id": topic},
        "database": {"url": f"sqlite:///{directory / 'bellwether.db'}", "directory": str(directory)},
    }
    path.write_text(yaml.safe_dump(content))
    return path


def said(*words: str) -> str:
    ended = subprocess.run([BELLWETHER, "models", *words], stdout=subprocess.PIPE, text=True, check=True)
    return ended.stdout


def rows_of(url: str, table: type) -> list[dict]:
    with reading(url) as connection:
        return [dict(row) for row in connection.execute(select(table.__table__)).mappings()]


def test_a_version_is_promoted_by_its_shadow_and_rolled_back_by_a_word_while_scoring_goes_on(kafka, topic, tmp_path):
    path = described(kafka, topic, tmp_path)
    url = load_monitor(path).database.url
    migrate(connect(url))
    begun = datetime.now(UTC)
    program = Program(["run", str(path), "--json"]).start()
    try:
        sending = Sending.start(records(), kafka, topic, RATE)
        wait_for(lambda: len(served(url)) > 1, 120, "a promoted version that a shard scores with")
        back = said("rollback", "--to", "1", "--why", "alarms for nothing", "--database", url).splitlines()[-1]
        wait_for(lambda: 1 in served(url)[1:], 60, "a shard that scores with the version gone back to")
        sent = sending.end()
        wait_until_accounted(url, "ward", sent, 60)
        code = program.stop()
    finally:
        if program.process is not None and program.process.poll() is None:
            program.kill()
    assert (code, sum(tallies(url, "ward").values())) == (0, sent)
    first, better = served(url)[:2]
    trial = promoted(url)[0]
    assert (first, trial["champion"], trial["challenger"], trial["role"]) == (1, 1, better, "trial")
    rolled_back = int(back.removeprefix("ward: v1 serves again, v").removesuffix(" is rolled back"))
    assert ("rolled back", "v1 serves: alarms for nothing") in events_of(url, rolled_back)
    listed = {each["version"]: each for each in json.loads(said("list", str(path), "--json", "--database", url))}
    assert 0.0 < listed[better]["record_staleness_seconds"] < (datetime.now(UTC) - begun).total_seconds()
    taken = sum(max(at, 0) for at in checkpoints_of(load_monitor(path)).whole()[0].offsets.values())
    assert [each["trainers"]["now"] for each in listed.values() if "trainers" in each] == [sent - taken]
    compared = json.loads(said("compare", "1", str(better), "--json", "--database", url))
    assert compared["tasks"]["next.h1"]["difference"] < 0.0
    assert set(compared["alerts"]) == {"same", "added", "removed", "earlier", "later"}
    again, turned = (rescored(path, *pair) for pair in ((1, better), (better, 1)))
    assert again["shadow"] == {
        "champion": 1,
        "challenger": better,
        "role": "scored again",
        "rows": sent,
        "of": sent,
    } | {
        "outcome": None,
        "why": None,
    }
    assert again["tasks"]["next.h1"]["difference"] < 0.0
    assert turned["tasks"]["next.h1"]["difference"] == pytest.approx(-again["tasks"]["next.h1"]["difference"])
    assert [len(again["alerts"][change]) for change in ("added", "removed", "earlier", "later")] == [
        len(turned["alerts"][change]) for change in ("removed", "added", "later", "earlier")
    ]
    assert said("replay", str(path), str(newest(path))).count("the same bit for bit") > 0


def rescored(path: Path, first: int, second: int) -> dict:
    """Both versions over the whole topic, once it is over."""
    return json.loads(said("compare", str(first), str(second), "--monitor", str(path), "--rescore", "--json"))


def served(url: str) -> list[int]:
    """Versions that scored the first partition, one after the other."""
    swaps = [row for row in rows_of(url, SwapRow) if (row["monitor"], row["partition"]) == ("ward", 0)]
    return [row["version"] for row in sorted(swaps, key=lambda row: row["offset"])]


def newest(monitor: Path) -> int:
    """The last version that can be made anew: the checkpoint before it is kept."""
    kept = checkpoints_of(load_monitor(monitor)).all()
    return max(version for each in kept if each.parent in {one.id for one in kept} for version in each.published)


def promoted(url: str) -> list[dict]:
    return [row for row in rows_of(url, ShadowRow) if row["outcome"] == "promoted"]


def events_of(url: str, version: int) -> list[tuple[str, str]]:
    return [(row["standing"], row["why"]) for row in rows_of(url, ModelEventRow) if row["version"] == version]
