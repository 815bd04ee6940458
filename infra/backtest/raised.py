"""The alerts of a backtest: every alarm where it was told, and each alert as it stood when the stream ended.

N rows in input order, n rows in stream order.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from schemas.alert import ALARMS, Alert, Change
from schemas.alerting import Severity
from schemas.layout import Layout
from schemas.observation import Bool, Int64
from schemas.silence import TASK
from scorer.stages.finding import kinds_of

ANOMALY = "anomaly"
"""What the learned score raises."""
MOST = 500
"""Alerts that a report lists."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert opened or got worse.

    Attributes:
        row: the input row that told it: of a feed that stopped, mostly another entity's.
        entity: whose alert it is.
        time_ms: event time of the row.
        source: what raised it: anomaly, rule, state, event or silence.
        subject: which rule or task, or how the feed failed.
        severity: the alert's then.
        opened: did it open?
    """

    row: int
    entity: str
    time_ms: int
    source: str
    subject: str
    severity: Severity
    opened: bool


@dataclass(slots=True)
class _Standing:
    """One alert so far: its worst step speaks for it, as in the table `alerts`."""

    worst: Alert
    severity: Severity
    ended: datetime | None = None

    def join(self, alert: Alert) -> None:
        """Take a later step in."""
        if alert.score > self.worst.score:
            self.worst = alert
        self.severity = max(self.severity, alert.severity, key=lambda severity: severity.rank)
        self.ended = alert.event_time if alert.change is Change.RESOLVED else None


class Raised:
    """Joins the steps of alerts.

    Args:
        layout: what can raise an alert.
    """

    def __init__(self, layout: Layout) -> None:
        kinds = kinds_of(layout)
        self._sources = {(kind.task, kind.kind): kind.source for kind in kinds}
        self._counted = [(kind.source, kind.task) for kind in kinds]
        self._failures = [] if layout.monitor.silence is None else [kind.value for kind in layout.monitor.silence.kinds]
        self._standing: dict[str, _Standing] = {}
        self.alarms: list[Alarm] = []
        """In stream order."""

    def add(self, alert: Alert, row: int) -> Alarm | None:
        """Take note of a step that an input row told; None: it was no alarm."""
        self._standing.setdefault(alert.id, _Standing(alert, alert.severity)).join(alert)
        if alert.change not in ALARMS:
            return None
        source, time_ms = self._source(alert), round(alert.event_time.timestamp() * 1000)
        subject = alert.kind if source == TASK else alert.task
        alarm = Alarm(row, alert.entity, time_ms, source, subject, alert.severity, alert.change is Change.OPENED)
        self.alarms.append(alarm)
        return alarm

    def opened_rows(self, n_rows: int) -> Bool:
        """Input rows that told of what their entity's values say, not of how its feed fares, [N]."""
        told_N = np.zeros(n_rows, dtype=np.bool_)
        told_N[[alarm.row for alarm in self.alarms if alarm.source != TASK]] = True
        return told_N

    def opened_by_score(self, n_rows: int) -> Bool:
        """Input rows at which the learned score opened an alert, [N]."""
        told_N = np.zeros(n_rows, dtype=np.bool_)
        told_N[[alarm.row for alarm in self.alarms if alarm.source == ANOMALY and alarm.opened]] = True
        return told_N

    def counted(self, rows_n: Int64) -> dict[str, int]:
        """Alarms that some rows told, of everything that can raise one but silence: `anomaly`, `rule news2`, ..."""
        told = self._told(rows_n)
        return {
            source if source == ANOMALY else f"{source} {subject}": told[source, subject]
            for source, subject in self._counted
        }

    def failures(self, rows_n: Int64) -> dict[str, int] | None:
        """Alarms of silence that some rows told, by the way in which a feed failed; None: nobody watches the feeds."""
        told = self._told(rows_n)
        return {failure: told[TASK, failure] for failure in self._failures} or None

    def report(self) -> dict[str, Any]:
        """The alerts in the order of their onset; of very many the mildest, then the latest, are only counted."""
        worst_first = sorted(self._standing.values(), key=lambda each: (-each.severity.rank, *_order(each)))
        listed = sorted(worst_first[:MOST], key=_order)
        return {
            "total": len(worst_first),
            "open": sum(each.ended is None for each in worst_first),
            "left_out": len(worst_first) - len(listed),
            "listed": [self._record(each) for each in listed],
        }

    def _told(self, rows_n: Int64) -> Counter[tuple[str, str]]:
        rows = set(rows_n.tolist())
        return Counter((alarm.source, alarm.subject) for alarm in self.alarms if alarm.row in rows)

    def _source(self, alert: Alert) -> str:
        return TASK if alert.task == TASK else self._sources[alert.task, alert.kind]

    def _record(self, standing: _Standing) -> dict[str, Any]:
        """Named as the columns of the table `alerts` are."""
        worst, ended = standing.worst, standing.ended
        return {
            "entity": worst.entity,
            "source": self._source(worst),
            "task": worst.task,
            "kind": worst.kind,
            "severity": standing.severity.value,
            "rung": worst.rung.value,
            "model_version": worst.model_version,
            "started_at": _iso(worst.started),
            "peak_at": _iso(worst.peak_time),
            "ended_at": None if ended is None else _iso(ended),
            "score": float(f"{worst.score:.6g}"),
            "summary": worst.summary,
        }


def _order(standing: _Standing) -> tuple[datetime, str, str, str]:
    worst = standing.worst
    return worst.started, worst.entity, worst.task, worst.kind


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
