"""The first schema: alerts and their events, partition ledger, snapshots, models, swaps, verdicts, metrics."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    _create_alerts()
    _create_ledger()
    _create_models()
    _create_learning()


def downgrade() -> None:
    """Drop every table, children first."""
    for table in (
        "task_metrics",
        "quarantined_batches",
        "verdicts",
        "model_swaps",
        "model_versions",
        "snapshots",
        "partitions",
        "alert_events",
        "alerts",
    ):
        op.drop_table(table)


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("monitor", sa.String(63), nullable=False),
        sa.Column("entity", sa.String(512), nullable=False),
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(63), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("peak_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("event_time", _TIME, nullable=False),
        sa.Column("known_at", _TIME, nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("summary", sa.String(1000), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("rung", sa.String(16), nullable=False),
        sa.Column("topic", sa.String(249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("monitor", "entity", "task", "kind", "started_at", name="uq_alerts_natural_key"),
    )
    op.create_index("ix_alerts_event_time", "alerts", ["event_time"])
    op.create_index("ix_alerts_known_at", "alerts", ["known_at"])
    op.create_index("ix_alerts_entity", "alerts", ["monitor", "entity"])
    op.create_table(
        "alert_events",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("alert_id", sa.String(36), sa.ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("change", sa.String(16), nullable=False),
        sa.Column("event_time", _TIME, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_alert_events_alert_id", "alert_events", ["alert_id"])


def _create_ledger() -> None:
    op.create_table(
        "partitions",
        *_partition_key(primary_key=True),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("lease_until", _TIME, nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("partly", sa.BigInteger(), nullable=False),
        sa.Column("dead_lettered", sa.BigInteger(), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
    )
    op.create_table(
        "snapshots",
        _row_number(),
        *_partition_key(),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("file", sa.String(1000), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    key = ["monitor", "cluster", "topic", "topic_id", "partition"]
    op.create_index("ix_snapshots_partition", "snapshots", key)
    op.create_table(
        "model_swaps",
        _row_number(),
        *_partition_key(),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False),
        sa.UniqueConstraint(*key, "offset", name="uq_model_swaps"),
    )


def _create_models() -> None:
    op.create_table(
        "model_versions",
        sa.Column("monitor", sa.String(63), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True),
        sa.Column("parent", sa.Integer()),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("file", sa.String(1000), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )


def _create_learning() -> None:
    op.create_table(
        "verdicts",
        _row_number(),
        sa.Column("alert_id", sa.String(36), sa.ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("verdict", sa.String(32), nullable=False),
        sa.Column("author", sa.String(128), nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False),
    )
    op.create_index("ix_verdicts_alert_id", "verdicts", ["alert_id"])
    op.create_table(
        "quarantined_batches",
        _row_number(),
        sa.Column("monitor", sa.String(63), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("offsets", sa.JSON(), nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False),
    )
    op.create_table(
        "task_metrics",
        _row_number(),
        sa.Column("monitor", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("metric", sa.String(63), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False),
    )
    op.create_index("ix_task_metrics_monitor", "task_metrics", ["monitor", "recorded_at"])


def _row_number() -> sa.Column[int]:
    return sa.Column("id", _NUMBER, primary_key=True, autoincrement=True)


def _partition_key(*, primary_key: bool = False) -> list[sa.Column[str] | sa.Column[int]]:
    return [
        sa.Column("monitor", sa.String(63), primary_key=primary_key, nullable=False),
        sa.Column("cluster", sa.String(63), primary_key=primary_key, nullable=False),
        sa.Column("topic", sa.String(249), primary_key=primary_key, nullable=False),
        sa.Column("topic_id", sa.String(63), primary_key=primary_key, nullable=False),
        sa.Column("partition", sa.Integer(), primary_key=primary_key, nullable=False),
    ]
