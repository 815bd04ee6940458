"""How far a monitor's trainers are behind, as the database tells: their last word, and where the shards stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from schemas.statements import PARTITIONS
from schemas.tables import TaskMetricRow


@dataclass(frozen=True, slots=True)
class Behind:
    """How far.

    Attributes:
        heard_at: when the trainers last wrote down how far it was.
        then: records that they had not read then.
        now: those, or what the shards have accounted for by now and they had not read then, if that is more. What they
            read since is not taken off, so that it is never too low while shards keep up, however trainers fare.
    """

    heard_at: datetime
    then: int
    now: int


def behind_of(connection: Connection, monitor: str) -> Behind | None:
    """A monitor's; None: no trainer has ever written anything down."""
    c = TaskMetricRow
    lags = select(c.value, c.recorded_at).where(c.monitor == monitor, c.task == "", c.metric == "lag")
    lag = connection.execute(lags.order_by(c.recorded_at.desc(), c.id.desc()).limit(1)).one_or_none()
    if lag is None:
        return None
    then = int(lag.value)
    return Behind(lag.recorded_at, then, max(then, _behind_shards(connection, monitor)))


def _behind_shards(connection: Connection, monitor: str) -> int:
    c = PARTITIONS.c
    latest = (
        select(c.cluster, c.topic, c.topic_id).where(c.monitor == monitor).order_by(c.updated_at.desc()).limit(1)
    )  # of a topic that was made anew the former rows stay
    now = connection.execute(latest).one_or_none()
    if now is None:
        return 0
    here = select(c.partition, c.offset).where(
        c.cluster == now.cluster, c.topic == now.topic, c.topic_id == now.topic_id
    )

    def offsets(name: str) -> Mapping[int, int]:
        return {row.partition: max(row.offset, 0) for row in connection.execute(here.where(c.monitor == name))}

    scored, read = offsets(monitor), offsets(ledger_of_trainers(monitor))
    return sum(max(at - read.get(number, 0), 0) for number, at in scored.items())


def ledger_of_trainers(monitor: str) -> str:
    """By which name a monitor's trainers account for their offsets."""
    return f"{monitor}.trainer"
