"""Checkpoints know which topic of which cluster their offsets are of: one that was made anew holds other rows."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of older checkpoints it is not known: they count as of the topic that there is."""
    with op.batch_alter_table("trainer_checkpoints") as table:
        table.add_column(sa.Column("origin", sa.String(160), nullable=False, server_default=""))


def downgrade() -> None:
    """Forget it."""
    with op.batch_alter_table("trainer_checkpoints") as table:
        table.drop_column("origin")
