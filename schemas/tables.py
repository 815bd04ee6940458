"""The SQL tables: SQLAlchemy 2 typed models, the same on SQLite and PostgreSQL. All times are UTC-aware."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, DateTime, Float, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware UTC time. SQLite drops the zone, so it is put back on reading; naive values are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Store as UTC. Raises ValueError for a naive datetime."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"got naive datetime {value.isoformat()}; expected a timezone-aware one")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Large = BigInteger().with_variant(Integer, "sqlite")
"""SQLite autoincrements INTEGER primary keys alone; its integers have 64 bits anyway."""


Word = String(32).with_variant(String(16), "sqlite")
"""Of a column that was once shorter: SQLite minds no length, and alters none without emptying what refers to it."""


class Table(DeclarativeBase):
    """The declarative root."""


class AlertRow(Table):
    """One alert as it stands now."""

    __tablename__ = "alerts"
    __table_args__ = (
        UniqueConstraint("monitor", "entity", "task", "kind", "started_at", name="uq_alerts_natural_key"),
        Index("ix_alerts_event_time", "event_time"),
        Index("ix_alerts_known_at", "known_at"),
        Index("ix_alerts_entity", "monitor", "entity"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    monitor: Mapped[str] = mapped_column(String(63))
    entity: Mapped[str] = mapped_column(String(512))
    task: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(63))
    severity: Mapped[str] = mapped_column(String(16))
    phase: Mapped[str] = mapped_column(String(16))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    peak_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    event_time: Mapped[datetime] = mapped_column(UtcDateTime)
    known_at: Mapped[datetime] = mapped_column(UtcDateTime)
    score: Mapped[float] = mapped_column(Float)
    probability: Mapped[float] = mapped_column(Float)
    summary: Mapped[str] = mapped_column(String(1000))
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    explanation: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    model_version: Mapped[int] = mapped_column(Integer)
    rung: Mapped[str] = mapped_column(Word)
    topic: Mapped[str] = mapped_column(String(249))
    partition: Mapped[int] = mapped_column(Integer)
    offset: Mapped[int] = mapped_column(BigInteger)


class AlertEventRow(Table):
    """One transition of an alert. `id` is derived from alert and change, so that a replay cannot double it."""

    __tablename__ = "alert_events"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.id", ondelete="CASCADE"), index=True)
    change: Mapped[str] = mapped_column(String(16))
    event_time: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    severity: Mapped[str] = mapped_column(String(16))
    score: Mapped[float] = mapped_column(Float)
    model_version: Mapped[int] = mapped_column(Integer)
    partition: Mapped[int] = mapped_column(Integer)
    offset: Mapped[int] = mapped_column(BigInteger)


class PartitionRow(Table):
    """The partition ledger: how far one partition has been accounted for, and by which epoch."""

    __tablename__ = "partitions"

    monitor: Mapped[str] = mapped_column(String(63), primary_key=True)
    cluster: Mapped[str] = mapped_column(String(63), primary_key=True)
    topic: Mapped[str] = mapped_column(String(249), primary_key=True)
    topic_id: Mapped[str] = mapped_column(String(63), primary_key=True)
    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger)
    epoch: Mapped[int] = mapped_column(BigInteger)
    owner: Mapped[str] = mapped_column(String(128))
    lease_until: Mapped[datetime] = mapped_column(UtcDateTime)
    model_version: Mapped[int] = mapped_column(Integer)
    accepted: Mapped[int] = mapped_column(BigInteger, default=0)
    partly: Mapped[int] = mapped_column(BigInteger, default=0)
    dead_lettered: Mapped[int] = mapped_column(BigInteger, default=0)
    duplicate: Mapped[int] = mapped_column(BigInteger, default=0)
    achieved: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Alarms of each budget, and over how much they were raised, or false discoveries; null: neither is kept."""
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SnapshotRow(Table):
    """A state snapshot of one partition: everything up to (not including) `offset` is in the file."""

    __tablename__ = "snapshots"
    __table_args__ = (Index("ix_snapshots_partition", "monitor", "cluster", "topic", "topic_id", "partition"),)

    id: Mapped[int] = mapped_column(Large, primary_key=True, autoincrement=True)
    monitor: Mapped[str] = mapped_column(String(63))
    cluster: Mapped[str] = mapped_column(String(63))
    topic: Mapped[str] = mapped_column(String(249))
    topic_id: Mapped[str] = mapped_column(String(63))
    partition: Mapped[int] = mapped_column(Integer)
    offset: Mapped[int] = mapped_column(BigInteger)
    file: Mapped[str] = mapped_column(String(1000))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ModelRow(Table):
    """One published version of a monitor's network."""

    __tablename__ = "model_versions"
    __table_args__ = (Index("ix_model_versions_status", "monitor", "status"),)

    monitor: Mapped[str] = mapped_column(String(63), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    parent: Mapped[int | None] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(16))
    file: Mapped[str] = mapped_column(String(1000))
    digest: Mapped[str] = mapped_column(String(64))
    metrics: Mapped[dict[str, float]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    made_by: Mapped[str] = mapped_column(String(16), server_default="trainer")


class SwapRow(Table):
    """From `offset` on, `version` served the partition, and a task's evidence counted `strictness` less."""

    __tablename__ = "model_swaps"
    __table_args__ = (
        UniqueConstraint("monitor", "cluster", "topic", "topic_id", "partition", "offset", name="uq_model_swaps"),
    )

    id: Mapped[int] = mapped_column(Large, primary_key=True, autoincrement=True)
    monitor: Mapped[str] = mapped_column(String(63))
    cluster: Mapped[str] = mapped_column(String(63))
    topic: Mapped[str] = mapped_column(String(249))
    topic_id: Mapped[str] = mapped_column(String(63))
    partition: Mapped[int] = mapped_column(Integer)
    offset: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(Integer)
    strictness: Mapped[dict[str, float]] = mapped_column(JSON, server_default="{}")
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class VerdictRow(Table):
    """A person's judgement of an alert."""

    __tablename__ = "verdicts"

    id: Mapped[int] = mapped_column(Large, primary_key=True, autoincrement=True)
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.id", ondelete="CASCADE"), index=True)
    verdict: Mapped[str] = mapped_column(String(32))
    author: Mapped[str] = mapped_column(String(128))
    why: Mapped[str | None] = mapped_column(String(1000))
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LabelRow(Table):
    """A label as it was received, and what became of it. Its origin names it: reading it again doubles nothing.

    `step` is the one in which it was learned from; `belief` what the network gave it before; `rows_until` the offset
    after the last of its entity's rows that it was learned with.
    """

    __tablename__ = "labels"
    __table_args__ = (
        UniqueConstraint("monitor", "cluster", "topic", "topic_id", "partition", "offset", name="uq_labels_origin"),
        Index("ix_labels_source", "monitor", "source"),
        Index("ix_labels_status", "monitor", "status"),
    )

    id: Mapped[int] = mapped_column(Large, primary_key=True, autoincrement=True)
    monitor: Mapped[str] = mapped_column(String(63))
    cluster: Mapped[str] = mapped_column(String(63))
    topic: Mapped[str] = mapped_column(String(249))
    topic_id: Mapped[str] = mapped_column(String(63))
    partition: Mapped[int] = mapped_column(Integer)
    offset: Mapped[int] = mapped_column(BigInteger)
    entity: Mapped[str] = mapped_column(String(512))
    task: Mapped[str] = mapped_column(String(63))
    value: Mapped[int] = mapped_column(Integer)
    event_time: Mapped[datetime | None] = mapped_column(UtcDateTime)
    occurred_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revealed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    source: Mapped[str] = mapped_column(String(128))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    status: Mapped[str] = mapped_column(String(16))
    step: Mapped[int | None] = mapped_column(BigInteger)
    belief: Mapped[float | None] = mapped_column(Float)
    rows_until: Mapped[int | None] = mapped_column(BigInteger)


class LabelSourceRow(Table):
    """Whether a source's labels are learned from, as it was last decided; a source without a row is included."""

    __tablename__ = "label_sources"

    monitor: Mapped[str] = mapped_column(String(63), primary_key=True)
    source: Mapped[str] = mapped_column(String(128), primary_key=True)
    excluded: Mapped[bool] = mapped_column(Boolean)
    author: Mapped[str] = mapped_column(String(128))
    why: Mapped[str | None] = mapped_column(String(1000))
    decided_at: Mapped[datetime] = mapped_column(UtcDateTime)


class QuarantineRow(Table):
    """A training batch that was refused, with the offsets it came from."""

    __tablename__ = "quarantined_batches"

    id: Mapped[int] = mapped_column(Large, primary_key=True, autoincrement=True)
    monitor: Mapped[str] = mapped_column(String(63))
    reason: Mapped[str] = mapped_column(String(200))
    offsets: Mapped[dict[str, list[int]]] = mapped_column(JSON)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CheckpointRow(Table):
    """Where all trainers of a monitor stood together: what they held, and what they did since the row before.

    `files` maps each file of its folder to its SHA-256; `offsets` a partition to the first offset not taken in; `log`
    holds, for each rank, what it took in before each step. One that was written with a version holds the log alone.
    `told` maps tables of what trainers write down of their steps to the newest row by then; `origin` says which topic
    of which cluster the offsets are of, empty where that is not known.
    """

    __tablename__ = "trainer_checkpoints"
    __table_args__ = (Index("ix_trainer_checkpoints_monitor", "monitor", "generation", "step"),)

    id: Mapped[int] = mapped_column(Large, primary_key=True, autoincrement=True)
    monitor: Mapped[str] = mapped_column(String(63))
    parent: Mapped[int | None] = mapped_column(BigInteger)
    generation: Mapped[int] = mapped_column(BigInteger)
    ranks: Mapped[int] = mapped_column(Integer)
    step: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column(BigInteger)
    model_version: Mapped[int] = mapped_column(Integer)
    folder: Mapped[str] = mapped_column(String(1000))
    files: Mapped[dict[str, str]] = mapped_column(JSON)
    offsets: Mapped[dict[str, int]] = mapped_column(JSON)
    log: Mapped[list[Any]] = mapped_column(JSON)
    told: Mapped[dict[str, int]] = mapped_column(JSON, server_default="{}")
    origin: Mapped[str] = mapped_column(String(160), server_default="")
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TaskMetricRow(Table):
    """A prequential metric of one task at one moment of learning."""

    __tablename__ = "task_metrics"
    __table_args__ = (
        Index("ix_task_metrics_monitor", "monitor", "recorded_at"),
        Index("ix_task_metrics_newest", "monitor", "id"),
    )

    id: Mapped[int] = mapped_column(Large, primary_key=True, autoincrement=True)
    monitor: Mapped[str] = mapped_column(String(63))
    version: Mapped[int] = mapped_column(Integer)
    step: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column(BigInteger)
    task: Mapped[str] = mapped_column(String(63))
    metric: Mapped[str] = mapped_column(String(63))
    value: Mapped[float] = mapped_column(Float)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LearningActionRow(Table):
    """What a learner did about drift, or about harm: alarms, and what followed."""

    __tablename__ = "learning_actions"
    __table_args__ = (Index("ix_learning_actions_monitor", "monitor", "recorded_at"),)

    id: Mapped[int] = mapped_column(Large, primary_key=True, autoincrement=True)
    monitor: Mapped[str] = mapped_column(String(63))
    version: Mapped[int] = mapped_column(Integer)
    step: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column(BigInteger)
    task: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(16))
    why: Mapped[str] = mapped_column(String(200))
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
