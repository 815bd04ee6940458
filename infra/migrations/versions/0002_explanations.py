"""Alerts keep what the network looked at: one more column, empty in rows that were there before."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("alerts") as alerts:
        alerts.add_column(sa.Column("explanation", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take it away."""
    with op.batch_alter_table("alerts") as alerts:
        alerts.drop_column("explanation")
