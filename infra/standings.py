"""Where a monitor's versions stand, every change a row; and which of their files may go."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import cast

from sqlalchemy import Connection, and_, func, insert, select, update
from sqlalchemy import Table as SqlTable

from infra.checkpoints import SHARED
from infra.shadows import ShadowTable
from schemas.protocols import TRAINER
from schemas.shadow import Outcome, Role, Settlement, Shadow
from schemas.statements import ALERTS, EVENTS, KEY, PARTITIONS, SNAPSHOTS, SWAPS, Row, matching
from schemas.tables import CheckpointRow, ModelRow
from schemas.versions import ModelEventRow
from scorer.verdict import confirmed

PINNED = 8
"""Versions that served well, and whose files stay: one can go back to each."""
EXPLAINED = timedelta(days=1)
"""How long an alert can be explained by the version that raised it."""
_LOCK = 7_240_914
"""Seed of the number that PostgreSQL locks for a monitor's standings."""
MODELS = cast("SqlTable", ModelRow.__table__)
_MODEL_EVENTS, _CHECKPOINTS = cast("SqlTable", ModelEventRow.__table__), cast("SqlTable", CheckpointRow.__table__)


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

    @classmethod
    def changing(cls, connection: Connection, monitor: str, now: datetime) -> "Standings":
        """Those of a transaction that changes them, which waits until nobody else's does: two versions would serve.

        SQLite's transactions take turns by themselves.
        """
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(monitor, _LOCK))))
        return cls(connection, monitor, now)

    @property
    def shadows(self) -> ShadowTable:
        """What is scored beside the one that serves."""
        return ShadowTable(self.connection, self.monitor, self.now)

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
        """Let a version serve; what served until now stands as `former`. Shadows are of no use any more."""
        why = f"v{version} serves: {change.why}"
        self._dismiss(why, spared=version)
        self.shadows.settle(Settlement(Outcome.OVERTAKEN, why))
        self._take_over(version, change, former)

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

    def open_trial(self, champion: int, challenger: int, rows: int) -> None:
        """From now on the challenger is tried beside the champion, and no other; a watch over that one waits."""
        why = f"v{challenger} is tried instead"
        self._dismiss(why, spared=challenger)
        self.shadows.settle(Settlement(Outcome.OVERTAKEN, why), role=Role.TRIAL)
        self.shadows.open(champion, challenger, Role.TRIAL, rows)

    def settle(self, shadow: Shadow, settlement: Settlement) -> bool:
        """End the shadow that runs, and move its versions as it says; False: it runs no more, another one was quicker.

        What is promoted is watched by the last version that was confirmed. With a watch all its parts end.
        """
        running, change = self.shadows.running(), Change("shadow", settlement.why)
        if running is None or running.id != shadow.id or not self.shadows.settle(settlement, shadow.id):
            return False
        match settlement.outcome:
            case Outcome.PROMOTED:
                watchman = self._watchman() or shadow.champion
                self._take_over(shadow.challenger, change)
                self.shadows.open(shadow.challenger, watchman, Role.WATCH, shadow.rows)
            case Outcome.REFUSED:
                self.move(shadow.challenger, Standing.RETIRED, change)
                if (watch := self.shadows.running()) is not None:
                    self.shadows.open(watch.champion, watch.challenger, Role.WATCH, watch.rows)
            case Outcome.ROLLED_BACK:
                self.shadows.settle(settlement)
                self._take_over(shadow.challenger, change, former=Standing.ROLLED_BACK)
            case _:
                self.shadows.settle(settlement)
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

    def _take_over(self, version: int, change: Change, former: Standing = Standing.PINNED) -> None:
        for before in self._of(Standing.SERVING):
            if before != version:
                self.move(before, former, Change(change.who, f"v{version} serves: {change.why}"))
        self.move(version, Standing.SERVING, change)
        watching = self.shadows.watching()
        for old in self.pinned()[PINNED:]:
            if old not in watching:
                self.move(old, Standing.RETIRED, Change(change.who, f"{PINNED} newer ones are pinned"))

    def _watchman(self) -> int | None:
        """Who watches what serves, and shall watch what follows it; None: what serves is confirmed."""
        watch = self.shadows.running()
        if watch is None:
            return None
        if confirmed(watch):
            why = f"not worse than v{watch.challenger}, nor were those before it"
            self.settle(watch, Settlement(Outcome.KEPT, why))
            return None
        return watch.challenger

    def _dismiss(self, why: str, spared: int) -> None:
        for challenger in self._of(Standing.CHALLENGER):
            if challenger != spared:
                self.move(challenger, Standing.RETIRED, Change("registry", why))

    def _of(self, standing: Standing) -> list[int]:
        query = select(MODELS.c.version).where(MODELS.c.monitor == self.monitor, MODELS.c.status == standing.value)
        return list(self.connection.execute(query.order_by(MODELS.c.version.desc())).scalars())

    def _explained(self) -> set[int]:
        lately = and_(ALERTS.c.monitor == self.monitor, ALERTS.c.known_at >= self.now - EXPLAINED)
        query = select(EVENTS.c.model_version).join(ALERTS, ALERTS.c.id == EVENTS.c.alert_id).where(lately)
        return set(self.connection.execute(query.distinct()).scalars())

    def _replayed(self) -> set[int]:
        """Of each partition what served since its oldest snapshot; of trainers what whole checkpoints judged by."""
        keys = select(*(PARTITIONS.c[name] for name in KEY)).where(PARTITIONS.c.monitor == self.monitor)
        swapped = {version for key in self.connection.execute(keys).mappings() for version in self._swapped(dict(key))}
        whole = _CHECKPOINTS.c.files[SHARED].as_string().is_not(None)
        judged = select(_CHECKPOINTS.c.model_version).where(_CHECKPOINTS.c.monitor == self.monitor, whole)
        return swapped | set(self.connection.execute(judged).scalars())

    def _swapped(self, key: Row) -> set[int]:
        """What served a partition since its oldest snapshot."""
        before = select(func.min(SNAPSHOTS.c.offset)).where(*matching(SNAPSHOTS, key))
        oldest = self.connection.execute(before).scalar_one()
        since = []
        if oldest is not None:
            last = select(func.max(SWAPS.c.offset)).where(*matching(SWAPS, key), SWAPS.c.offset <= oldest)
            since = [SWAPS.c.offset >= func.coalesce(last.scalar_subquery(), -1)]
        query = select(SWAPS.c.version).where(*matching(SWAPS, key), *since)
        return set(self.connection.execute(query.distinct()).scalars())


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
