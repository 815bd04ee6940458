"""Scores the topic by two versions, the second in the shadow of the first: what a word of promotion would change."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from infra.assembly import registry_of, shard_parts, shares_of
from infra.comparing import AGAIN, FOREVER, Raised, SideBySide, check_two
from infra.database import database_of
from infra.registry import SqlRegistry
from infra.rescoring.topic import Kept, ScoredRows, begins_of
from schemas.alert import Alert, Change
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.protocols import ModelRecord, Position
from schemas.shadow import Role, Settlement, Shadow, Tally
from scorer.run import run
from scorer.shard import SnapshotPolicy
from trainer.weights import load_weights

_NO_END = 2**63 - 1
"""Rows that a trial takes which never ends."""


def score_both(monitor: Monitor, first: int, second: int, *, from_snapshot: bool = False) -> SideBySide:
    """Score all that the shards have scored by either version, as strictly as it was judged then.

    Both begin with the state that stands where they begin, and the second is asked what the first is.

    Args:
        monitor: whose topic and versions.
        first: serves.
        second: is its shadow.
        from_snapshot: begin at each partition's oldest snapshot, not at the first row that it ever scored.

    Raises:
        InputError: both are the same, nothing was scored yet, there is no snapshot, or the topic no longer holds the
            rows.
        ModelError: the weights of a version are no longer kept, or do not fit the monitor.
        StackError: the database or the broker cannot be read.
    """
    check_two(monitor.monitor, first, second)
    torch.set_num_threads(1)
    engine, layout = database_of(monitor), Layout(monitor)
    pair = _Pair(registry_of(monitor, engine), first, second)
    for version in (first, second):  # a shard would go on without it
        load_weights(layout, pair.load(pair.get(version)), f"model version {version}")
    with engine.connect() as connection:
        begins = begins_of(connection, monitor, from_snapshot=from_snapshot)
    ledger = Kept({partition: _served_by(first, begin) for partition, begin in begins.items()})
    nowhere, shares = SnapshotPolicy(None, monitor.database.snapshot_every), shares_of(monitor)
    parts = shard_parts(layout, ledger, pair, nowhere, partitions=shares, shadows=pair)
    rows = sum(
        len(scored.predictions.batch)
        for scored in run(ScoredRows(layout, begins), parts.shard, parts.pipeline)
        if scored
    )
    steps = [advance.shadow for advance in ledger.advances if advance.shadow is not None]
    tally = sum((step.tally for step in steps), Tally())
    alerts = _raised(ledger.alerts), _raised(alert for step in steps for alert in step.alerts)
    return SideBySide(first, second, AGAIN, tally.rows, rows, tally.sums, None, None, alerts)


def _served_by(version: int, begin: Position) -> Position:
    """As if one version had served throughout."""
    return replace(begin, swaps=tuple(swap._replace(version=version) for swap in begin.swaps))


def _raised(alerts: Iterable[Alert]) -> list[Raised]:
    """Each alert from where it opened to where it ended."""
    found: dict[str, Raised] = {}
    for alert in alerts:
        if alert.change is Change.OPENED:
            found[alert.id] = Raised(alert.entity, alert.task, alert.kind, alert.started, FOREVER)
        elif alert.change is Change.RESOLVED and alert.id in found:
            found[alert.id] = replace(found[alert.id], ended=alert.event_time)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Pair:
    """Of a registry's versions one that serves, and one that is its shadow until the rows end."""

    registry: SqlRegistry
    first: int
    second: int

    def serving(self) -> ModelRecord | None:
        return self.get(self.first)

    def get(self, version: int) -> ModelRecord:
        return self.registry.get(version)

    def load(self, record: ModelRecord) -> bytes:
        return self.registry.load(record)

    def shadow(self) -> Shadow | None:
        return Shadow(0, self.first, self.second, Role.TRIAL, _NO_END, Tally())

    def settle(self, shadow: Shadow, settlement: Settlement) -> bool:
        del shadow, settlement
        return False
