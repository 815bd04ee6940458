"""What people said of a task's alerts, as it stands in the database."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select

from schemas.alert import Judgement
from schemas.statements import ALERTS
from schemas.tables import LabelSourceRow, VerdictRow
from scorer.ledger import transact

_LATELY = 100
"""Alerts that count: what was found long ago was another threshold's."""


@dataclass(frozen=True, slots=True)
class SqlVerdicts:
    """`scorer.strictness.Verdicts` of one task. The last word on an alert counts, but not one of excluded authors."""

    engine: Engine
    monitor: str
    task: str

    def judged(self) -> tuple[int, int]:
        """True and false ones. Raises LedgerError when the database cannot be asked."""
        reader = self.engine.execution_options(reading=True)
        said = transact(reader, lambda connection, _: self._said(connection))
        return said.count(Judgement.TRUE), said.count(Judgement.FALSE)

    def _said(self, connection: Connection) -> list[str]:
        excluded = select(LabelSourceRow.source).where(LabelSourceRow.monitor == self.monitor, LabelSourceRow.excluded)
        query = (
            select(VerdictRow.alert_id, VerdictRow.verdict)
            .join(ALERTS, ALERTS.c.id == VerdictRow.alert_id)
            .where(ALERTS.c.monitor == self.monitor, ALERTS.c.task == self.task)
            .where(VerdictRow.author.not_in(excluded))
            .order_by(VerdictRow.id.desc())
            .limit(2 * _LATELY)
        )
        last: dict[str, str] = {}
        for alert, verdict in connection.execute(query):
            last.setdefault(alert, verdict)
        return list(last.values())[:_LATELY]
