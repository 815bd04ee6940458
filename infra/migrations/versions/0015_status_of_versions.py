"""Which version serves is found by an index: a monitor publishes tens of thousands of them a day."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """By monitor and status."""
    op.create_index("ix_model_versions_status", "model_versions", ["monitor", "status"])


def downgrade() -> None:
    """Look at all of them."""
    op.drop_index("ix_model_versions_status", "model_versions")
