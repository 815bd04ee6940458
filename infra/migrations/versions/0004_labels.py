"""Labels from a topic, what was decided of their sources, and why a verdict was given."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables, add the column."""
    op.create_table(
        "labels",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("monitor", sa.String(63), nullable=False),
        sa.Column("cluster", sa.String(63), nullable=False),
        sa.Column("topic", sa.String(249), nullable=False),
        sa.Column("topic_id", sa.String(63), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("entity", sa.String(512), nullable=False),
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("event_time", _TIME),
        sa.Column("occurred_at", _TIME),
        sa.Column("revealed_at", _TIME),
        sa.Column("source", sa.String(128), nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("step", sa.BigInteger()),
        sa.Column("belief", sa.Float()),
        sa.UniqueConstraint("monitor", "cluster", "topic", "topic_id", "partition", "offset", name="uq_labels_origin"),
    )
    op.create_index("ix_labels_source", "labels", ["monitor", "source"])
    op.create_index("ix_labels_status", "labels", ["monitor", "status"])
    op.create_table(
        "label_sources",
        sa.Column("monitor", sa.String(63), primary_key=True),
        sa.Column("source", sa.String(128), primary_key=True),
        sa.Column("excluded", sa.Boolean(), nullable=False),
        sa.Column("author", sa.String(128), nullable=False),
        sa.Column("why", sa.String(1000)),
        sa.Column("decided_at", _TIME, nullable=False),
    )
    with op.batch_alter_table("verdicts") as verdicts:
        verdicts.add_column(sa.Column("why", sa.String(1000), nullable=True))


def downgrade() -> None:
    """Take them away."""
    with op.batch_alter_table("verdicts") as verdicts:
        verdicts.drop_column("why")
    op.drop_table("label_sources")
    op.drop_table("labels")
