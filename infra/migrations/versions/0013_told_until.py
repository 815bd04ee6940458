"""Checkpoints know what their trainers had told by then: what came after is taken back when others go on from there."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of older checkpoints it is not known: nothing is taken back after them."""
    with op.batch_alter_table("trainer_checkpoints") as table:
        table.add_column(sa.Column("told", sa.JSON(), nullable=False, server_default="{}"))
    op.create_index("ix_task_metrics_newest", "task_metrics", ["monitor", "id"])


def downgrade() -> None:
    """Forget it."""
    op.drop_index("ix_task_metrics_newest", "task_metrics")
    with op.batch_alter_table("trainer_checkpoints") as table:
        table.drop_column("told")
