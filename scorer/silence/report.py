"""What a person reads of a feed that failed: the alert record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.alert import Alert, Change, Rung, SignalReason
from schemas.alerting import Severity
from schemas.observation import Partition
from schemas.prediction import Predictions
from schemas.silence import TASK, SilenceKind, SilenceSettings

_NAMED = 8


@dataclass(frozen=True, slots=True)
class Seen:
    """By what it was seen: a row, or a clock after a partition's last one."""

    time_ms: int
    partition: Partition
    offset: int
    version: int

    @classmethod
    def at(cls, predictions: Predictions, row: int) -> "Seen":
        """By a row."""
        batch = predictions.batch
        partition = batch.partitions[int(batch.partition[row])]
        return cls(int(batch.time_ms[row]), partition, int(batch.offset[row]), int(predictions.version[row]))


@dataclass(frozen=True, slots=True)
class Report:
    """Makes alert records.

    Attributes:
        monitor: its name.
        settings: how bad each kind is.
        names: of the signals, by column.
    """

    monitor: str
    settings: SilenceSettings
    names: Sequence[str]

    def alert(
        self,
        entity: str,
        kind: SilenceKind,
        started_ms: int,
        change: Change,
        columns: Sequence[int],
        told: str,
        seen: Seen,
    ) -> Alert:
        """One transition. Its score is 1: there is no more or less of silence."""
        signals = [self.names[column] for column in columns]
        more = f" and {len(signals) - _NAMED} more" if len(signals) > _NAMED else ""
        named = f": {', '.join(signals[:_NAMED])}{more}" if signals else ""
        return Alert(
            monitor=self.monitor,
            entity=entity,
            task=TASK,
            kind=kind.value,
            started=_utc(started_ms),
            change=change,
            severity=self.settings.severities.get(kind, Severity.WARNING),
            event_time=_utc(seen.time_ms),
            peak_time=_utc(started_ms),
            score=1.0,
            probability=1.0,
            reasons=tuple(SignalReason(name, None, None, 0.0) for name in signals),
            model_version=seen.version,
            rung=Rung.RULE,
            partition=seen.partition,
            offset=seen.offset,
            summary=f"{kind.value} ({told}){named}"[:1000],
        )


def _utc(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
