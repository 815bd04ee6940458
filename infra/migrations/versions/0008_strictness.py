"""What people said of alerts moves the threshold: the log of swaps says how far it stood."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("model_swaps") as table:
        table.add_column(sa.Column("strictness", sa.Float(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Take it away."""
    with op.batch_alter_table("model_swaps") as table:
        table.drop_column("strictness")
