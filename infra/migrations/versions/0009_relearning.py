"""What learning anew needs: who made a version, and how far an entity's rows had come when a label was taught."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("model_versions") as table:
        table.add_column(sa.Column("made_by", sa.String(16), nullable=False, server_default="trainer"))
    with op.batch_alter_table("labels") as table:
        table.add_column(sa.Column("rows_until", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take them away."""
    with op.batch_alter_table("labels") as table:
        table.drop_column("rows_until")
    with op.batch_alter_table("model_versions") as table:
        table.drop_column("made_by")
