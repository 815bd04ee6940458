"""Where a monitor's versions stand, every change a row; and which of their files may go."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import Connection, Row, and_, func, insert, select, union, update
from sqlalchemy import Table as SqlTable

from infra.checkpoints import SHARED
from schemas.protocols import TRAINER
from schemas.shadow import Outcome, Role, Settlement, Shadow, Tally
from schemas.statements import ALERTS, EVENTS, KEY, PARTITIONS, SHADOW_TALLIES, SNAPSHOTS, SWAPS
from schemas.tables import CheckpointRow, ModelRow
from schemas.versions import ModelEventRow, ShadowRow

PINNED = 8
"""Versions that served well, and whose files stay: one can go back to each."""
EXPLAINED = timedelta(days=1)
"""How long an alert can be explained by the version that raised it."""
MODELS = cast("SqlTable", ModelRow.__table__)
_MODEL_EVENTS, SHADOWS = cast("SqlTable", ModelEventRow.__table__), cast("SqlTable", ShadowRow.__table__)
_CHECKPOINTS = cast("SqlTable", CheckpointRow.__table__)


PUBLISHED = "published"
"""Why a version stands where it does at first."""


class Standing(StrEnum):
    """Where a version stands.

    A challenger is scored in the shadow of the one that serves. What served before is pinned for a while, then
    retired, as is a challenger that was refused.
    """

    CHALLENGER = "challenger"
    SERVING = "serving"
    PINNED = "pinned"
    RETIRED = "retired"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes a standing, and why."""

    who: str
    why: str
    learned_until: datetime | None = None
    written_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standings:
    """The standings of a monitor's versions, within one transaction.

    Attributes:
        connection: the transaction's.
        monitor: whose versions.
        now: when it happens.
    """

    connection: Connection
    monitor: str
    now: datetime

    def serving(self) -> int | None:
        """The version that serves."""
        return next(iter(self._of(Standing.SERVING)), None)

    def pinned(self) -> list[int]:
        """Versions that can be gone back to, first the one that served last: of people's choices the latest counts."""
        last = select(func.max(_MODEL_EVENTS.c.id)).where(
            _MODEL_EVENTS.c.monitor == MODELS.c.monitor,
            _MODEL_EVENTS.c.version == MODELS.c.version,
            _MODEL_EVENTS.c.standing == Standing.SERVING.value,
        )
        query = select(MODELS.c.version).where(
            MODELS.c.monitor == self.monitor, MODELS.c.status == Standing.PINNED.value
        )
        return list(self.connection.execute(query.order_by(last.scalar_subquery().desc())).scalars())

    def serve(self, version: int, change: Change, former: Standing = Standing.PINNED) -> None:
        """Let a version serve; what served until now stands as `former`. A shadow that runs is of no use any more."""
        for before in self._of(Standing.SERVING):
            if before != version:
                self.move(before, former, Change(change.who, f"v{version} serves: {change.why}"))
        self.move(version, Standing.SERVING, change)
        for old in self.pinned()[PINNED:]:
            self.move(old, Standing.RETIRED, Change(change.who, f"{PINNED} newer ones are pinned"))
        self._end_trials(f"v{version} serves: {change.why}")

    def move(self, version: int, to: Standing, change: Change) -> None:
        """Change one version's standing."""
        mine = and_(MODELS.c.monitor == self.monitor, MODELS.c.version == version)
        self.connection.execute(update(MODELS).where(mine).values(status=to.value))
        self.note(version, to.value, change)

    def note(self, version: int, standing: str, change: Change) -> None:
        """Write down what became of a version."""
        row = {"monitor": self.monitor, "version": version, "standing": standing, "recorded_at": self.now}
        row |= {"who": change.who[:128], "why": change.why[:1000]}
        row |= {"learned_until": change.learned_until, "written_until": change.written_until}
        self.connection.execute(insert(_MODEL_EVENTS), row)

    def open_shadow(self, champion: int, challenger: int, role: str, rows: int) -> None:
        """From now on the challenger is scored beside the champion. One shadow runs at a time."""
        self._end_trials(f"v{challenger} is tried instead", spared=challenger)
        row = {"monitor": self.monitor, "champion": champion, "challenger": challenger, "role": role, "rows": rows}
        self.connection.execute(insert(SHADOWS), row | {"started_at": self.now})

    def close_shadow(self, outcome: str, why: str, shadow: int | None = None) -> bool:
        """End the shadow that runs, or only the one named: was there one? Of several that come, the first ends it."""
        running = and_(SHADOWS.c.monitor == self.monitor, SHADOWS.c.settled_at.is_(None))
        if shadow is not None:
            running = and_(running, SHADOWS.c.id == shadow)
        ended = {"outcome": outcome, "why": why[:1000], "settled_at": self.now}
        return self.connection.execute(update(SHADOWS).where(running).values(ended)).rowcount > 0

    def settle(self, shadow: Shadow, settlement: Settlement) -> bool:
        """End a shadow and move its versions as it says; after a promotion the former champion is its shadow."""
        if not self.close_shadow(settlement.outcome.value, settlement.why, shadow.id):
            return False
        change = Change("shadow", settlement.why)
        match settlement.outcome:
            case Outcome.PROMOTED:
                self.serve(shadow.challenger, change)
                self.open_shadow(shadow.challenger, shadow.champion, Role.WATCH.value, shadow.rows)
            case Outcome.ROLLED_BACK:
                self.serve(shadow.challenger, change, former=Standing.ROLLED_BACK)
            case Outcome.REFUSED:
                self.move(shadow.challenger, Standing.RETIRED, change)
            case _:
                self.note(shadow.champion, settlement.outcome.value, change)
        return True

    def kept(self) -> set[int]:
        """Versions whose files are needed: to serve, to go back to, to explain, to replay from snapshots, to learn."""
        standing = (Standing.CHALLENGER, Standing.SERVING, Standing.PINNED)
        return {version for each in standing for version in self._of(each)} | self._replayed() | self._explained()

    def newest(self) -> int:
        """The highest number given so far; 0: none."""
        query = select(func.coalesce(func.max(MODELS.c.version), 0)).where(MODELS.c.monitor == self.monitor)
        return int(self.connection.execute(query).scalar_one())

    def _end_trials(self, why: str, spared: int | None = None) -> None:
        for challenger in self._of(Standing.CHALLENGER):
            if challenger != spared:
                self.move(challenger, Standing.RETIRED, Change("registry", why))
        self.close_shadow(Outcome.OVERTAKEN.value, why)

    def _of(self, standing: Standing) -> list[int]:
        query = select(MODELS.c.version).where(MODELS.c.monitor == self.monitor, MODELS.c.status == standing.value)
        return list(self.connection.execute(query.order_by(MODELS.c.version.desc())).scalars())

    def _explained(self) -> set[int]:
        lately = and_(ALERTS.c.monitor == self.monitor, ALERTS.c.known_at >= self.now - EXPLAINED)
        query = select(EVENTS.c.model_version).join(ALERTS, ALERTS.c.id == EVENTS.c.alert_id).where(lately)
        return set(self.connection.execute(query.distinct()).scalars())

    def _replayed(self) -> set[int]:
        """Of each partition what served since its oldest snapshot; of trainers what whole checkpoints judged by."""
        same = [PARTITIONS.c[name] == SNAPSHOTS.c[name] for name in KEY]
        oldest = (
            select(func.coalesce(func.min(SNAPSHOTS.c.offset), -1)).where(*same).correlate(PARTITIONS).scalar_subquery()
        )
        before = SWAPS.alias()
        here = [before.c[name] == PARTITIONS.c[name] for name in KEY]
        last = select(func.coalesce(func.max(before.c.offset), -1)).where(*here, before.c.offset <= oldest)
        swapped = (
            select(SWAPS.c.version)
            .join(PARTITIONS, and_(*(SWAPS.c[name] == PARTITIONS.c[name] for name in KEY)))
            .where(PARTITIONS.c.monitor == self.monitor, SWAPS.c.offset >= last.correlate(PARTITIONS).scalar_subquery())
        )
        whole = _CHECKPOINTS.c.files[SHARED].as_string().is_not(None)
        judged = select(_CHECKPOINTS.c.model_version).where(_CHECKPOINTS.c.monitor == self.monitor, whole)
        return set(self.connection.execute(union(swapped, judged)).scalars())


def shadow_of(connection: Connection, row: Row[*tuple[Any, ...]] | None) -> Shadow | None:
    """A shadow's row with the sums of all partitions."""
    if row is None:
        return None
    tally = Tally()
    for each in connection.execute(select(SHADOW_TALLIES).where(SHADOW_TALLIES.c.shadow == row.id)):
        tally += Tally(each.rows, {name: tuple(sums) for name, sums in each.sums.items()})
    return Shadow(row.id, row.champion, row.challenger, Role(row.role), row.rows, tally)


def lives(connection: Connection) -> dict[tuple[str, int], dict[str, object]]:
    """(monitor, version) -> why it stands where it does, how long the gate took, how fresh it was when first taken up.

    The gate begins when a version was published, or came to serve: the next one must beat that. `serving_since` is when
    it last came to serve, whether it still does or not.
    """
    query = select(SWAPS.c.monitor, SWAPS.c.version, func.min(SWAPS.c.recorded_at).label("at"))
    swapped = connection.execute(query.group_by(SWAPS.c.monitor, SWAPS.c.version))
    taken_up: dict[tuple[str, int], datetime] = {(row.monitor, row.version): row.at for row in swapped}
    found: dict[tuple[str, int], dict[str, object]] = {}
    began: dict[str, datetime] = {}
    for event in connection.execute(select(_MODEL_EVENTS).order_by(_MODEL_EVENTS.c.id)):
        key = event.monitor, event.version
        life, first = found.setdefault(key, {}), taken_up.get(key)
        life |= {"why": event.why, "who": event.who}
        if (event.who, event.why) == (TRAINER, PUBLISHED) and event.monitor in began:
            life["gate_seconds"] = (event.recorded_at - began[event.monitor]).total_seconds()
        if event.standing in {Standing.SERVING, Standing.CHALLENGER}:
            began[event.monitor] = event.recorded_at
        if event.standing == Standing.SERVING:
            life["serving_since"] = event.recorded_at
        if event.written_until is not None:
            life["written_until"] = event.written_until
        for name, until in (("staleness", event.learned_until), ("record_staleness", event.written_until)):
            if first is not None and until is not None:
                life[f"{name}_seconds"] = (first - until).total_seconds()
        if first is not None and event.standing == Standing.SERVING and "taken_up_seconds" not in life:
            life["taken_up_seconds"] = (first - event.recorded_at).total_seconds()
    return found
