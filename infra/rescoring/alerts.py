"""Raises a monitor's alerts anew, from the topic and the log of which version served when, and compares them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sqlalchemy import Connection, select

from infra.assembly import registry_of, shard_parts, shares_of, utc_now
from infra.database import database_of
from infra.rescoring.topic import CLOCKED, Kept, ScoredRows, begins_of
from schemas.alert import JUDGED
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Partition, Ranges
from schemas.protocols import Position
from schemas.statements import ALERTS, EVENTS, event_row
from scorer.run import run
from scorer.shard import SnapshotPolicy

_ROUNDING = 1e-9
"""Of a score that a database kept as a number of its own."""
_COMPARED = ("change", "event_time", "severity", "model_version", "partition", "offset")
Step = Mapping[str, Any]
"""One transition of one alert, a row of `alert_events`."""


@dataclass(frozen=True, slots=True)
class Rescored:
    """What came out; steps are transitions of alerts.

    Attributes:
        rows: that were scored again.
        alerts: that they belong to.
        same: steps that are what they were.
        others: that carry another time, severity, score or version.
        missing: that are in the database and were not taken again.
        added: that are not in the database.
    """

    rows: int
    alerts: int
    same: int
    others: Sequence[Step]
    missing: Sequence[Step]
    added: Sequence[Step]

    @property
    def all_same(self) -> bool:
        """Is every step what it was, and is there no other?"""
        return not (self.others or self.missing or self.added)


def rescore(monitor: Monitor, *, from_snapshot: bool = False) -> Rescored:
    """Score the topic again until where the shards stand, each row by the version that served it then.

    Args:
        monitor: whose topic and alerts.
        from_snapshot: begin at each partition's oldest snapshot, not at the first row that it ever scored.

    Raises:
        InputError: nothing was scored yet, there is no snapshot, or the topic no longer holds the rows.
        ModelError: the weights of a version that served are no longer kept.
        StackError: the database or the broker cannot be read.
    """
    torch.set_num_threads(1)
    engine, layout = database_of(monitor), Layout(monitor)
    with engine.connect() as connection:
        ledger = Kept(begins_of(connection, monitor, from_snapshot=from_snapshot))
    source = ScoredRows(layout, ledger.begins)
    nowhere, shares = SnapshotPolicy(None, monitor.database.snapshot_every), shares_of(monitor)
    registry = registry_of(monitor, engine)
    for version in sorted(set().union(*map(_served, ledger.begins.values()))):
        registry.load(registry.get(version))  # a shard would go on without it; what is compared must not
    parts = shard_parts(layout, ledger, registry, nowhere, partitions=shares)
    rows = sum(len(scored.predictions.batch) for scored in run(source, parts.shard, parts.pipeline) if scored)
    now: dict[str, Step] = {str(row["id"]): row for row in (event_row(e.id, e, utc_now()) for e in ledger.alerts)}
    with engine.connect() as connection:
        then = _steps(connection, monitor, source.read)
    return _compared(rows, then, now)


def _served(begin: Position) -> set[int]:
    """Versions that scored rows of a partition from where it begins; 0 is none."""
    before = [swap for swap in begin.swaps if swap.offset <= begin.committed]
    return {swap.version for swap in (*before[-1:], *begin.swaps[len(before) :])} - {0}


def _steps(connection: Connection, monitor: Monitor, read: Ranges) -> dict[str, Step]:
    """What the shards wrote down of these offsets."""
    joined = select(EVENTS).join(ALERTS, ALERTS.c.id == EVENTS.c.alert_id)
    query = joined.where(
        ALERTS.c.monitor == monitor.monitor, EVENTS.c.change.not_in([change.value for change in JUDGED])
    )
    query = query.where(ALERTS.c.kind != CLOCKED)
    topic = monitor.topics.observations
    found: dict[str, Step] = {}
    for row in connection.execute(query.where(ALERTS.c.topic == topic)).mappings():
        first, after = read.get(Partition(topic, row["partition"]), (0, 0))
        if first <= row["offset"] < after:
            found[row["id"]] = dict(row)
    return found


def _compared(rows: int, then: Mapping[str, Step], now: Mapping[str, Step]) -> Rescored:
    both = [(then[name], now[name]) for name in then if name in now]
    others = [after for before, after in both if not _alike(before, after)]
    missing = [step for name, step in then.items() if name not in now]
    added = [step for name, step in now.items() if name not in then]
    alerts = {step["alert_id"] for step in then.values()}
    return Rescored(rows, len(alerts), len(both) - len(others), others, missing, added)


def _alike(before: Step, after: Step) -> bool:
    near = abs(before["score"] - after["score"]) <= _ROUNDING * max(abs(before["score"]), 1.0)
    return near and all(before[name] == after[name] for name in _COMPARED)
