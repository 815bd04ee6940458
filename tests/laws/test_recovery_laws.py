"""Whatever moment a shard ends at, the next owner goes on as if nothing had happened."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest
import torch
from sqlalchemy import Engine, func, select

from infra.assembly import shard_parts
from infra.database import connect, migrate
from infra.memory import MemoryRegistry
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch
from schemas.tables import AlertEventRow, AlertRow, PartitionRow
from scorer.ledger import SqlLedger
from scorer.run import run
from scorer.shard import SnapshotPolicy
from scorer.stages import chance, discoveries, wealth
from tests.laws.ward import REMEMBERING, TOPIC, WARD, batch
from trainer.network import Network
from trainer.weights import save_weights

ROWS, BATCH = 1200, 37
ALERTS = {"threshold": 1.5, "critical": 2.5, "warm_up": 10, "cooldown": 5, "resolve_after": 3}


BUDGET = {"entity": "20 per hour", "group": "60 per hour", "by": "age", "total": "90 per hour"}


def monitor(lateness: str, silence: object = None, tasks: object = WARD["tasks"], **alerts: object) -> Layout:
    rules = [{"name": "jump", "kind": "move", "signal": "hr", "severities": {"warning": 2.5, "critical": 4}}]
    return Layout(
        Monitor.model_validate(
            WARD
            | {"rules": rules + REMEMBERING, "alerts": ALERTS | alerts, "lateness": lateness, "silence": silence}
            | {"tasks": tasks}
        )
    )


def ward(seed: int, jumps: float = 0.02) -> Batch:
    """Four entities, a row a second, up to eight seconds late; some jumps, and a while of faults."""
    rng = np.random.default_rng(seed)
    second = np.argsort(np.arange(ROWS) + rng.uniform(0, 8, ROWS), kind="stable")
    values = np.array([80.0, 120.0, 97.0, 16.0, 5.0, 30.0, 60.0]) + rng.normal(size=(ROWS, 7))
    values[rng.random(ROWS) < jumps, :2] += 40.0
    values[300:400, 2], values[400:500, 4], values[600:] = 97.0, np.nan, values[600:] + rng.normal(size=(600, 7)) * 8
    return batch(rng.integers(0, 4, ROWS), values, 1_700_000_000_000 + second * 1000)


def newcomers(seed: int) -> Batch:
    """The same with a new entity every forty rows, for whom the ten before it are experience."""
    rng = np.random.default_rng(seed)
    whole = ward(seed)
    entity = np.arange(ROWS) // 40 + rng.integers(0, 10, ROWS)
    return replace(whole, entity=[str(each) for each in entity])


class Records:
    """A source that starts where its owner says and ends after so many batches."""

    def __init__(self, whole: Batch, batches: int) -> None:
        self._whole, self._batches = whole, batches

    def batches(self, owner):
        start = max(owner.adopt([TOPIC])[TOPIC], 0)
        for number in range(self._batches):
            rows = np.arange(start + number * BATCH, min(start + (number + 1) * BATCH, ROWS))
            if not len(rows):
                return
            columns = {n: getattr(self._whole, n)[rows] for n in ("time_ms", "values", "partition", "offset", "status")}
            if self._whole.recorded_ms is not None:
                columns["recorded_ms"] = self._whole.recorded_ms[rows]
            entity = [self._whole.entity[row] for row in rows.tolist()]
            next_offsets = (int(rows[-1]) + 1,)
            masked = self._whole.masked[rows]
            yield replace(self._whole, **columns, entity=entity, masked=masked, next_offsets=next_offsets)

    def globals(self):
        return ()

    def dead_letter(self, letters):
        pass


class Annoyed:
    """People who call every alert of a task false as soon as it is in the database."""

    def __init__(self, engine: Engine, task: str = "anomaly") -> None:
        self._engine, self._task = engine, task

    def judged(self) -> dict[str, tuple[int, int]]:
        query = select(func.count()).select_from(AlertRow.__table__).where(AlertRow.task == self._task)
        with self._engine.connect() as connection:
            return {self._task: (0, connection.execute(query).scalar_one())}


def lives(layout: Layout, whole: Batch, directory, lengths: list[int], people=lambda _: None, network=None):
    """What the database holds after a shard lived, and ended, so many batches at a time."""
    engine = connect(f"sqlite:///{directory / 'ledger.db'}")
    migrate(engine)
    registry = MemoryRegistry()
    registry.publish_first(save_weights(network or Network(layout)))
    for number, length in enumerate(lengths):
        clock = lambda: datetime(2026, 1, 1, tzinfo=UTC)  # noqa: E731
        ledger = SqlLedger(engine, "ward", "c", f"owner-{number}", clock, timedelta(seconds=9), lambda _: "t")
        policy = SnapshotPolicy(directory / "snapshots", timedelta(0) if number % 2 else timedelta(days=1))
        parts = shard_parts(layout, ledger, registry, policy, look_seconds=0.0, verdicts=people(engine))
        for _ in run(Records(whole, length), parts.shard, parts.pipeline):
            pass
    with engine.connect() as connection:
        events = connection.execute(select(AlertEventRow.__table__)).mappings().all()
        kinds = set(connection.execute(select(AlertRow.kind)).scalars())
        tallies = connection.execute(select(PartitionRow.__table__)).mappings().one()
        raised = set(connection.execute(select(AlertRow.__table__.c.task)).scalars())
    engine.dispose()
    told = Counter(tuple(value for name, value in row.items() if name != "recorded_at") for row in events)
    kept = ("offset", "accepted", "partly", "dead_lettered", "duplicate", "achieved")
    return told, {name: tallies[name] for name in kept} | {"raised": raised}, kinds


@pytest.mark.parametrize("lateness", ["0s", "5s"])
@pytest.mark.parametrize("seed", range(3))
def test_a_shard_that_ends_anywhere_leaves_the_same_alerts_and_the_same_account(tmp_path, lateness, seed):
    layout, whole = monitor(lateness), ward(seed)
    lengths = np.random.default_rng(seed).integers(1, 7, 12).tolist()
    for name in ("calm", "disturbed"):
        (tmp_path / name).mkdir()
    calm, calm_tally, _ = lives(layout, whole, tmp_path / "calm", [ROWS])
    disturbed, disturbed_tally, _ = lives(layout, whole, tmp_path / "disturbed", [*lengths, ROWS])
    assert len(calm) > 20
    assert {rule.name for rule in layout.monitor.rules} <= calm_tally["raised"]
    assert disturbed == calm
    assert disturbed_tally == calm_tally


def test_newcomers_are_lent_the_same_experience_whenever_a_shard_ends(tmp_path):
    layout, whole = monitor("0s"), newcomers(0)
    lengths = np.random.default_rng(0).integers(1, 7, 12).tolist()
    for name in ("calm", "disturbed"):
        (tmp_path / name).mkdir()
    calm = lives(layout, whole, tmp_path / "calm", [ROWS])
    assert len(calm[0]) > 20
    assert lives(layout, whole, tmp_path / "disturbed", [*lengths, ROWS]) == calm


@pytest.mark.parametrize("seed", range(2))
def test_a_budget_is_kept_and_feeds_are_watched_as_if_no_shard_had_ended(tmp_path, seed):
    layout, whole = monitor("0s", silence={"after": 1.2}, budget=BUDGET), ward(seed)
    whole.values[np.arange(ROWS) // 200 % 2 == 1, 0] = np.nan
    whole.values[np.array(whole.entity) == "1", 4] = 5.0
    whole = replace(whole, recorded_ms=whole.time_ms + np.where(np.array(whole.entity) == "2", 90_000, 0))
    lengths = np.random.default_rng(seed).integers(1, 7, 12).tolist()
    for name in ("calm", "disturbed"):
        (tmp_path / name).mkdir()
    calm, disturbed = (
        lives(layout, whole, tmp_path / name, batches)
        for name, batches in (("calm", [ROWS]), ("disturbed", [*lengths, ROWS]))
    )
    assert set(calm[1]["achieved"]) >= {"entity", "total"}
    assert "withheld" in {step[2] for step in calm[0]}
    assert {"skew", "stopped", "frozen"} <= calm[2]
    assert disturbed == calm


def test_false_discoveries_are_controlled_as_if_no_shard_had_ended(tmp_path, monkeypatch):
    for module in (chance, wealth, discoveries):
        monkeypatch.setattr(module, "BLOCK", 60)
    layout, whole = monitor("0s", false_discovery_rate=0.5), ward(0, jumps=0.006)
    lengths = np.random.default_rng(0).integers(1, 7, 12).tolist()
    for name in ("calm", "disturbed"):
        (tmp_path / name).mkdir()
    calm, disturbed = (
        lives(layout, whole, tmp_path / name, batches)
        for name, batches in (("calm", [ROWS]), ("disturbed", [*lengths, ROWS]))
    )
    assert calm[1]["achieved"]["false discoveries"]["alarms"] > 3
    assert disturbed == calm


@pytest.mark.parametrize("lateness", ["0s", "5s"])
def test_what_people_say_meanwhile_counts_for_the_same_rows_whenever_a_shard_ends(tmp_path, lateness):
    layout, whole = monitor(lateness), ward(2)
    lengths = np.random.default_rng(0).integers(1, 7, 12).tolist()
    for name in ("calm", "disturbed", "unheard"):
        (tmp_path / name).mkdir()
    calm = lives(layout, whole, tmp_path / "calm", [ROWS], Annoyed)
    disturbed = lives(layout, whole, tmp_path / "disturbed", [*lengths, ROWS], Annoyed)
    unheard, *_ = lives(layout, whole, tmp_path / "unheard", [ROWS])
    assert len(calm[0]) < len(unheard)
    assert disturbed == calm


def test_what_people_say_of_a_tasks_warnings_counts_for_the_same_rows_whenever_a_shard_ends(tmp_path):
    warning = WARD["tasks"][2] | {"severities": {"warning": 0.16}}
    layout, whole = monitor("0s", tasks=[*WARD["tasks"][:2], warning]), ward(2)
    network = Network(layout)
    network.standing.counts[0].seen_WC += torch.tensor([[80.0, 0, 20], [60, 0, 40], [0, 0, 100], [100, 0, 0]])
    for name in ("calm", "disturbed", "unheard"):
        (tmp_path / name).mkdir()
    annoyed = partial(Annoyed, task="soon")
    calm = lives(layout, whole, tmp_path / "calm", [ROWS], annoyed, network)
    disturbed = lives(
        layout, whole, tmp_path / "disturbed", [1, 3, ROWS], annoyed, network
    )  # four warnings, then verdicts
    unheard, *_ = lives(layout, whole, tmp_path / "unheard", [ROWS], network=network)
    assert "soon" in calm[1]["raised"]
    assert calm[0] != unheard
    assert disturbed == calm


def test_with_lateness_fewer_rows_are_late(tmp_path):
    found = []
    for lateness in ("0s", "5s"):
        (tmp_path / lateness).mkdir()
        _, tally, _ = lives(monitor(lateness), ward(9), tmp_path / lateness, [ROWS])
        found.append(tally["dead_lettered"])
    assert found[1] < found[0] / 2
