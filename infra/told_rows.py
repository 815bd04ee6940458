"""What trainers wrote down of their steps: what a checkpoint knows of stands, the rest is taken back and done anew.

So metrics, actions and refused batches say of each step once what became of it, however often trainers are killed.
"""

from collections.abc import Mapping
from typing import cast

from sqlalchemy import Connection, delete, func, select
from sqlalchemy import Table as SqlTable

from schemas.tables import LearningActionRow, QuarantineRow, TaskMetricRow

_TABLES = [cast("SqlTable", each.__table__) for each in (TaskMetricRow, LearningActionRow, QuarantineRow)]


def newest_told(connection: Connection, monitor: str) -> dict[str, int]:
    """Table -> number of its newest row about a monitor; 0: none."""
    newest = (select(func.max(table.c.id)).where(table.c.monitor == monitor) for table in _TABLES)
    return {
        table.name: connection.execute(query).scalar_one() or 0 for table, query in zip(_TABLES, newest, strict=True)
    }


def take_back(connection: Connection, monitor: str, told: Mapping[str, int]) -> int:
    """Delete what trainers told after that; how many rows. What a fit measured (step 0) is not theirs."""
    gone = 0
    for table in (each for each in _TABLES if each.name in told):
        mine = [table.c.monitor == monitor, table.c.id > told[table.name]]
        if "step" in table.c:
            mine.append(table.c.step > 0)
        gone += connection.execute(delete(table).where(*mine)).rowcount
    return gone
