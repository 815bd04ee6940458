"""The log of swaps says how far verdicts had moved each task's threshold, not the learned score's alone."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A number becomes that of the task whose alerts it was about: the monitor's learned score."""
    connection, before, after = op.get_bind(), _swaps(sa.Float()), _swaps(sa.JSON())
    moved = connection.execute(sa.select(before).where(before.c.strictness != 0.0)).all()
    _replace(sa.Column("strictness", sa.JSON(), nullable=False, server_default="{}"))
    learned = _learned(connection)
    for row in moved:
        told = dict.fromkeys(learned.get(row.monitor, ()), row.strictness)
        connection.execute(sa.update(after).where(after.c.id == row.id).values(strictness=told))


def downgrade() -> None:
    """The learned score's alone."""
    connection, before, after = op.get_bind(), _swaps(sa.Float()), _swaps(sa.JSON())
    told = connection.execute(sa.select(after)).all()
    _replace(sa.Column("strictness", sa.Float(), nullable=False, server_default="0"))
    learned = _learned(connection)
    for row in told:
        for task in learned.get(row.monitor, set()) & row.strictness.keys():
            number = row.strictness[task]
            connection.execute(sa.update(before).where(before.c.id == row.id).values(strictness=number))


def _swaps(strictness: sa.Float[float] | sa.JSON) -> sa.TableClause:
    return sa.table("model_swaps", sa.column("id"), sa.column("monitor"), sa.column("strictness", strictness))


def _replace(column: "sa.Column[object]") -> None:
    with op.batch_alter_table("model_swaps") as table:
        table.drop_column("strictness")
    with op.batch_alter_table("model_swaps") as table:
        table.add_column(column)


def _learned(connection: sa.Connection) -> dict[str, set[str]]:
    """Monitor -> names that its learned score has had: where verdicts moved it, it had raised alerts."""
    alerts = sa.table("alerts", sa.column("monitor"), sa.column("task"), sa.column("kind"))
    found: dict[str, set[str]] = {}
    query = sa.select(alerts.c.monitor, alerts.c.task).where(alerts.c.kind == "tail").distinct()
    for monitor, task in connection.execute(query):
        found.setdefault(monitor, set()).add(task)
    return found
