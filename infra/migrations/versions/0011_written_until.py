"""How stale a version was by the clock of the records too: event times of a replay say nothing about that."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of versions that stand it is not known."""
    with op.batch_alter_table("model_events") as table:
        table.add_column(sa.Column("written_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take it away."""
    with op.batch_alter_table("model_events") as table:
        table.drop_column("written_until")
