"""Two versions side by side: their metrics, their losses on the same rows, and the alerts that would be others."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, and_, or_, select

from infra.shadows import SHADOWS, shadow_of
from infra.standings import MODELS
from schemas.alert import Change
from schemas.errors import InputError
from schemas.shadow import Shadow, Sums
from schemas.statements import ALERTS, EVENTS, SHADOW_ALERTS, SHADOW_TALLIES
from scorer.verdict import calibration, compared

AGAIN = "scored again"
"""In place of a shadow's role: of two versions that nobody was to choose between."""
FOREVER = datetime.max.replace(tzinfo=UTC)
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert that was raised, or would have been; `ended` is far away while it is open."""

    entity: str
    task: str
    kind: str
    started: datetime
    ended: datetime

    @property
    def subject(self) -> tuple[str, str, str]:
        """What it is about: of one entity, one task and kind."""
        return self.entity, self.task, self.kind

    def meets(self, other: "Raised") -> bool:
        """Is it about the same thing at the same time?"""
        same = self.subject == other.subject
        return same and self.started <= other.ended and other.started <= self.ended


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Two versions that scored the same rows.

    Attributes:
        champion, challenger: their numbers; the sums have them in this order.
        role: why: a `schemas.shadow.Role`, or `AGAIN`.
        rows: that both scored, `of` so many that they were to.
        sums: of what was asked of both.
        outcome, why: of a shadow that is settled.
        alerts: of the champion and of the challenger.
    """

    champion: int
    challenger: int
    role: str
    rows: int
    of: int
    sums: Sums
    outcome: str | None
    why: str | None
    alerts: tuple[Sequence[Raised], Sequence[Raised]]


def read_comparison(
    connection: Connection, monitor: str, first: int, second: int, again: SideBySide | None = None
) -> Record:
    """What is known of two versions; `difference` is that of the second to the first, below 0 it is better.

    Of several times that one was the other's shadow, the one that judged the most rows is told of, unless both were
    scored `again`.

    Raises InputError: one is unknown, or both are the same.
    """
    check_two(monitor, first, second)
    metrics = {version: _metrics(connection, monitor, version) for version in (first, second)}
    both = again or _shadowed(connection, monitor, first, second)
    found: Record = {"monitor": monitor, "versions": [first, second], "metrics": metrics, "shadow": None}
    if both is None:
        return found
    turned = both.champion != first
    names = ("champion", "challenger", "role", "rows", "of", "outcome", "why")
    return found | {
        "shadow": {name: getattr(both, name) for name in names},
        "tasks": _tasks(both.sums, turned=turned),
        "calibration": _calibration(both.sums, turned=turned),
        "alerts": _difference(*both.alerts, turned=turned),
    }


def check_two(monitor: str, first: int, second: int) -> None:
    """Raise InputError where one version is to be compared with itself."""
    if first == second:
        raise InputError(f"model version {first} of monitor {monitor}: got it twice; expected two versions")


def _shadowed(connection: Connection, monitor: str, first: int, second: int) -> SideBySide | None:
    """The shadow of one by the other that judged the most rows."""
    pair = or_(
        and_(SHADOWS.c.champion == first, SHADOWS.c.challenger == second),
        and_(SHADOWS.c.champion == second, SHADOWS.c.challenger == first),
    )
    shadows = select(SHADOWS).where(SHADOWS.c.monitor == monitor, pair).order_by(SHADOWS.c.id.desc())
    tried = [(row, shadow_of(connection, row)) for row in connection.execute(shadows)]
    if not tried:
        return None
    # Either may have shadowed the other, more than once: a part of a watch may have seen little before the next trial.
    row, shadow = max(tried, key=lambda each: each[1].tally.rows)
    return SideBySide(
        champion=shadow.champion,
        challenger=shadow.challenger,
        role=shadow.role.value,
        rows=shadow.tally.rows,
        of=shadow.rows,
        sums=shadow.tally.sums,
        outcome=row.outcome,
        why=row.why,
        alerts=_raised(connection, monitor, shadow),
    )


def _metrics(connection: Connection, monitor: str, version: int) -> Record:
    query = select(MODELS.c.metrics).where(MODELS.c.monitor == monitor, MODELS.c.version == version)
    found = connection.execute(query).scalar_one_or_none()
    if found is None:
        newest = select(MODELS.c.version).where(MODELS.c.monitor == monitor).order_by(MODELS.c.version.desc()).limit(8)
        known = ", ".join(str(each) for each in connection.execute(newest).scalars())
        raise InputError(f"model version {version} of monitor {monitor}: unknown; the newest are {known}")
    return dict(found)


def _tasks(sums: Sums, *, turned: bool) -> Record:
    found = {}
    for name, each in compared(sums).items():
        sign, (lower, upper) = -1.0 if turned else 1.0, each.bounds()
        losses = (each.challenger, each.champion) if turned else (each.champion, each.challenger)
        bounds = (-upper, -lower) if turned else (lower, upper)
        found[name] = {"n": each.n, "losses": losses, "difference": sign * each.difference, "bounds": bounds}
    return found


def _calibration(sums: Sums, *, turned: bool) -> Record:
    """Share of values that the outer bands held, and ECE, of both."""
    bands = {name: (a / n, b / n) for name, (n, a, b) in _bands(sums).items() if n}
    found = bands | calibration(sums, {})
    return {name: pair[::-1] if turned else pair for name, pair in found.items()}


def _bands(sums: Sums) -> dict[str, tuple[float, float, float]]:
    return {name: (each[0], each[1], each[2]) for name, each in sums.items() if name.endswith(".coverage")}


def _raised(connection: Connection, monitor: str, shadow: Shadow) -> tuple[list[Raised], list[Raised]]:
    """By the champion and by the challenger, on the rows that both saw."""
    champion: list[Raised] = []
    for span in connection.execute(select(SHADOW_TALLIES).where(SHADOW_TALLIES.c.shadow == shadow.id)):
        query = (
            select(ALERTS.c.entity, ALERTS.c.task, ALERTS.c.kind, ALERTS.c.started_at, ALERTS.c.ended_at)
            .join(EVENTS, EVENTS.c.alert_id == ALERTS.c.id)
            .where(ALERTS.c.monitor == monitor, ALERTS.c.topic == span.topic, EVENTS.c.partition == span.partition)
            .where(EVENTS.c.change == Change.OPENED.value, EVENTS.c.offset >= span.first, EVENTS.c.offset < span.next)
        )
        champion += [Raised(*row[:4], row[4] or FOREVER) for row in connection.execute(query)]
    columns = (SHADOW_ALERTS.c[name] for name in ("entity", "task", "kind", "started_at", "ended_at"))
    query = select(*columns).where(SHADOW_ALERTS.c.shadow == shadow.id)
    return champion, [Raised(*row[:4], row[4] or FOREVER) for row in connection.execute(query)]


def _difference(champion: Sequence[Raised], challenger: Sequence[Raised], *, turned: bool) -> Record:
    """From the first version's alerts to the second's: those added and removed, and those that begin at other times."""
    before, after = (challenger, champion) if turned else (champion, challenger)
    was, now = _by_subject(before), _by_subject(after)
    changes: dict[str, list[Record]] = {"added": [], "removed": [], "earlier": [], "later": []}
    same = 0
    for alert in before:
        starts = [other.started for other in now.get(alert.subject, ()) if other.meets(alert)]
        if not starts:
            changes["removed"].append(_plain(alert))
        elif min(starts) == alert.started:
            same += 1
        else:
            shift = (min(starts) - alert.started).total_seconds()
            changes["earlier" if shift < 0 else "later"].append(_plain(alert) | {"by_seconds": abs(shift)})
    changes["added"] = [
        _plain(alert) for alert in after if not any(alert.meets(other) for other in was.get(alert.subject, ()))
    ]
    return {"same": same, **changes}


def _by_subject(alerts: Sequence[Raised]) -> dict[tuple[str, str, str], list[Raised]]:
    found: dict[tuple[str, str, str], list[Raised]] = {}
    for alert in alerts:
        found.setdefault(alert.subject, []).append(alert)
    return found


def _plain(alert: Raised) -> Record:
    named = asdict(alert)
    return {name: named[name] for name in ("entity", "task", "kind")} | {"started_at": alert.started.isoformat()}
