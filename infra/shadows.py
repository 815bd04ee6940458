"""The table of a monitor's shadows: which one runs, and the parts of a watch that trials interrupted."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update
from sqlalchemy import Table as SqlTable

from schemas.shadow import Role, Settlement, Shadow, Tally
from schemas.statements import SHADOW_TALLIES
from schemas.versions import ShadowRow

SHADOWS = cast("SqlTable", ShadowRow.__table__)


@dataclass(frozen=True, slots=True)
class ShadowTable:
    """The shadows of one monitor, within one transaction.

    Of those that are not settled the newest runs: at most one trial, before it the parts of at most one watch.

    Attributes:
        connection: the transaction's.
        monitor: whose shadows.
        now: when it happens.
    """

    connection: Connection
    monitor: str
    now: datetime

    def running(self) -> Shadow | None:
        """The one that runs; a watch with the parts before it."""
        query = select(SHADOWS).where(*self._unsettled()).order_by(SHADOWS.c.id.desc())
        rows = self.connection.execute(query).all()
        if not rows:
            return None
        newest, *before = rows
        found = shadow_of(self.connection, newest)
        if found.role is Role.TRIAL:
            return found
        return replace(found, earlier=tuple(shadow_of(self.connection, row) for row in before))

    def watching(self) -> set[int]:
        """Versions that others may have to be taken back to: each challenges one that is not confirmed."""
        return set(self.connection.execute(select(SHADOWS.c.challenger).where(*self._unsettled())).scalars())

    def open(self, champion: int, challenger: int, role: Role, rows: int) -> None:
        """From now on the challenger is scored beside the champion; what ran until now waits."""
        row = {"monitor": self.monitor, "champion": champion, "challenger": challenger, "role": role.value}
        self.connection.execute(insert(SHADOWS), row | {"rows": rows, "started_at": self.now})

    def settle(self, settlement: Settlement, shadow: int | None = None, role: Role | None = None) -> bool:
        """Settle all that are not, or the one named, or those of a role: was there one? The first that comes does."""
        which = [] if shadow is None else [SHADOWS.c.id == shadow]
        which += [] if role is None else [SHADOWS.c.role == role.value]
        ended = {"outcome": settlement.outcome.value, "why": settlement.why[:1000], "settled_at": self.now}
        return self.connection.execute(update(SHADOWS).where(*self._unsettled(), *which).values(ended)).rowcount > 0

    def _unsettled(self) -> list[ColumnElement[bool]]:
        return [SHADOWS.c.monitor == self.monitor, SHADOWS.c.settled_at.is_(None)]


def shadow_of(connection: Connection, row: Row[*tuple[Any, ...]]) -> Shadow:
    """A shadow's row with the sums of all partitions."""
    tally = Tally()
    for each in connection.execute(select(SHADOW_TALLIES).where(SHADOW_TALLIES.c.shadow == row.id)):
        tally += Tally(each.rows, {name: tuple(sums) for name, sums in each.sums.items()})
    return Shadow(row.id, row.champion, row.challenger, Role(row.role), row.rows, tally)
