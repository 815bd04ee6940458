"""Versions stand somewhere, and why: events, shadows, what was seen of them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
_TIME = sa.DateTime(timezone=True)
_LARGE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables; what has served before can be gone back to."""
    op.execute("UPDATE model_versions SET status = 'pinned' WHERE status = 'retired'")
    _events()
    _shadows()
    _tallies()
    _alerts()


def downgrade() -> None:
    """Take them away."""
    op.execute("UPDATE model_versions SET status = 'retired' WHERE status <> 'serving'")
    for table in ("shadow_alerts", "shadow_tallies", "shadows", "model_events"):
        op.drop_table(table)


def _events() -> None:
    op.create_table(
        "model_events",
        sa.Column("id", _LARGE, primary_key=True, autoincrement=True),
        sa.Column("monitor", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("standing", sa.String(16), nullable=False),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("why", sa.String(1000), nullable=False),
        sa.Column("learned_until", _TIME, nullable=True),
        sa.Column("recorded_at", _TIME, nullable=False),
    )
    op.create_index("ix_model_events_version", "model_events", ["monitor", "version"])


def _shadows() -> None:
    op.create_table(
        "shadows",
        sa.Column("id", _LARGE, primary_key=True, autoincrement=True),
        sa.Column("monitor", sa.String(63), nullable=False),
        sa.Column("champion", sa.Integer(), nullable=False),
        sa.Column("challenger", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=True),
        sa.Column("why", sa.String(1000), nullable=True),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("settled_at", _TIME, nullable=True),
    )
    op.create_index("ix_shadows_monitor", "shadows", ["monitor", "settled_at"])


def _tallies() -> None:
    op.create_table(
        "shadow_tallies",
        sa.Column("shadow", _LARGE, sa.ForeignKey("shadows.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("cluster", sa.String(63), primary_key=True),
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("topic_id", sa.String(63), primary_key=True),
        sa.Column("partition", sa.Integer(), primary_key=True),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("sums", sa.JSON(), nullable=False),
    )


def _alerts() -> None:
    op.create_table(
        "shadow_alerts",
        sa.Column("id", _LARGE, primary_key=True, autoincrement=True),
        sa.Column("shadow", _LARGE, sa.ForeignKey("shadows.id", ondelete="CASCADE"), nullable=False),
        sa.Column("entity", sa.String(512), nullable=False),
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(63), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("topic", sa.String(249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_shadow_alerts_shadow", "shadow_alerts", ["shadow"])
