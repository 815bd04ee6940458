"""What became of the alarm budget stands beside each partition's offset."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("partitions") as table:
        table.add_column(sa.Column("achieved", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    """Take it away."""
    with op.batch_alter_table("partitions") as table:
        table.drop_column("achieved")
