"""A version says who made it: learning goes on from what history was fitted on, or was learned anew."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("model_versions") as table:
        table.add_column(sa.Column("made_by", sa.String(16), nullable=False, server_default="trainer"))


def downgrade() -> None:
    """Take it away."""
    with op.batch_alter_table("model_versions") as table:
        table.drop_column("made_by")
