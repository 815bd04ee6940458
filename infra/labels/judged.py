"""What people said of alerts, as it stands in the database."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select

from schemas.alert import Judgement
from schemas.statements import ALERTS
from schemas.tables import LabelSourceRow, VerdictRow
from scorer.ledger import transact
from scorer.stages.finding import Kind

_LATELY = 100
"""Alerts of a task that count: what was found long ago was another threshold's."""


@dataclass(frozen=True, slots=True)
class SqlVerdicts:
    """`scorer.strictness.Verdicts`. The last word on an alert counts, but not one of excluded authors.

    Attributes:
        engine: of the database.
        monitor: whose alerts.
        kinds: task -> its alerts, of those that are asked for.
    """

    engine: Engine
    monitor: str
    kinds: Mapping[str, Kind]

    def judged(self) -> dict[str, tuple[int, int]]:
        """Task -> true and false ones. Raises LedgerError when the database cannot be asked."""
        reader = self.engine.execution_options(reading=True)
        said = transact(reader, lambda connection, _: {task: self._said(connection, task) for task in self.kinds})
        return {task: (each.count(Judgement.TRUE), each.count(Judgement.FALSE)) for task, each in said.items()}

    def _said(self, connection: Connection, task: str) -> list[str]:
        """A rule may be named as a task is: kinds tell their alerts apart."""
        excluded = select(LabelSourceRow.source).where(LabelSourceRow.monitor == self.monitor, LabelSourceRow.excluded)
        query = (
            select(VerdictRow.alert_id, VerdictRow.verdict)
            .join(ALERTS, ALERTS.c.id == VerdictRow.alert_id)
            .where(ALERTS.c.monitor == self.monitor, ALERTS.c.task == task, ALERTS.c.kind == self.kinds[task].kind)
            .where(VerdictRow.author.not_in(excluded))
            .order_by(VerdictRow.id.desc())
            .limit(2 * _LATELY)
        )
        last: dict[str, str] = {}
        for alert, verdict in connection.execute(query):
            last.setdefault(alert, verdict)
        return list(last.values())[:_LATELY]
