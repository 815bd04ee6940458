"""The tables of versions' lives: where each stood when and why, and what was seen of those tried in the shadow."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from schemas.tables import Large, Table, UtcDateTime


class ModelEventRow(Table):
    """A version's standing changed.

    Where it was published: `learned_until`, the newest event time it had learned, and `written_until`, when the newest
    record it had learned from was written.
    """

    __tablename__ = "model_events"
    __table_args__ = (Index("ix_model_events_version", "monitor", "version"),)

    id: Mapped[int] = mapped_column(Large, primary_key=True, autoincrement=True)
    monitor: Mapped[str] = mapped_column(String(63))
    version: Mapped[int] = mapped_column(Integer)
    standing: Mapped[str] = mapped_column(String(16))
    who: Mapped[str] = mapped_column(String(128))
    why: Mapped[str] = mapped_column(String(1000))
    learned_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    written_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ShadowRow(Table):
    """One version scored in another's shadow for so many rows. `settled_at` empty: it still is, or waits.

    `role` is "trial" before the challenger serves, "watch" when it is the last version that was confirmed. The newest
    that is not settled runs. A watch that a trial interrupts goes on as a new row; all its rows are settled together.
    """

    __tablename__ = "shadows"
    __table_args__ = (Index("ix_shadows_monitor", "monitor", "settled_at"),)

    id: Mapped[int] = mapped_column(Large, primary_key=True, autoincrement=True)
    monitor: Mapped[str] = mapped_column(String(63))
    champion: Mapped[int] = mapped_column(Integer)
    challenger: Mapped[int] = mapped_column(Integer)
    role: Mapped[str] = mapped_column(String(16))
    rows: Mapped[int] = mapped_column(BigInteger)
    outcome: Mapped[str | None] = mapped_column(String(16))
    why: Mapped[str | None] = mapped_column(String(1000))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ShadowTallyRow(Table):
    """What one partition added to a shadow: its sums over the rows in [`first`, `next`), moved with the offsets."""

    __tablename__ = "shadow_tallies"

    shadow: Mapped[int] = mapped_column(ForeignKey("shadows.id", ondelete="CASCADE"), primary_key=True)
    cluster: Mapped[str] = mapped_column(String(63), primary_key=True)
    topic: Mapped[str] = mapped_column(String(249), primary_key=True)
    topic_id: Mapped[str] = mapped_column(String(63), primary_key=True)
    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    first: Mapped[int] = mapped_column(BigInteger)
    next: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)
    sums: Mapped[dict[str, Any]] = mapped_column(JSON)


class ShadowAlertRow(Table):
    """An alert that the challenger would have opened. `offset` is that of the row it would have opened on."""

    __tablename__ = "shadow_alerts"
    __table_args__ = (Index("ix_shadow_alerts_shadow", "shadow"),)

    id: Mapped[int] = mapped_column(Large, primary_key=True, autoincrement=True)
    shadow: Mapped[int] = mapped_column(ForeignKey("shadows.id", ondelete="CASCADE"))
    entity: Mapped[str] = mapped_column(String(512))
    task: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(63))
    severity: Mapped[str] = mapped_column(String(16))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    topic: Mapped[str] = mapped_column(String(249))
    partition: Mapped[int] = mapped_column(Integer)
    offset: Mapped[int] = mapped_column(BigInteger)
