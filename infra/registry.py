"""The model registry: versioned weights as files, their standing and their metrics in SQL."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import cast

import structlog
from sqlalchemy import Connection, Engine, Select, func, insert, select, update
from sqlalchemy import Table as SqlTable
from sqlalchemy.exc import IntegrityError

from infra.durable import write_whole
from schemas.errors import LedgerError, ModelError
from schemas.observation import Partition
from schemas.protocols import Action, ModelRecord
from schemas.tables import LearningActionRow, ModelRow, QuarantineRow, TaskMetricRow
from scorer.ledger import transact

_LOG = structlog.get_logger(__name__)
_MODELS = cast("SqlTable", ModelRow.__table__)
_RIVALS = 20
"""How often a publisher tries the next number when another one was quicker."""


class Standing(StrEnum):
    """Where a version stands."""

    SERVING = "serving"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class SqlRegistry:
    """`schemas.protocols.Registry`: rows in SQL, weights in `<directory>/models/<monitor>/v<NNNNN>.safetensors`.

    Metrics that are not finite are left out: JSON has no word for them.
    """

    engine: Engine
    monitor: str
    directory: Path
    clock: Callable[[], datetime]

    def serving(self) -> ModelRecord | None:
        """The version that should serve now; None before the first was published."""
        records = self._select(self._models().where(_MODELS.c.status == Standing.SERVING).limit(1))
        return records[0] if records else None

    def get(self, version: int) -> ModelRecord:
        """One version. Raises ModelError when it is unknown."""
        records = self._select(self._models().where(_MODELS.c.version == version))
        if not records:
            raise ModelError(f"model version {version} of monitor {self.monitor}: unknown; expected a published one")
        return records[0]

    def versions(self) -> list[ModelRecord]:
        """Every version, newest first."""
        return self._select(self._models())

    def load(self, record: ModelRecord) -> bytes:
        """A version's weights. Raises ModelError when the file is missing or does not match its digest."""
        try:
            weights = Path(record.path).read_bytes()
        except OSError as error:
            raise ModelError(
                f"model version {record.version}: {record.path} cannot be read: {error.strerror}"
            ) from error
        digest = hashlib.sha256(weights).hexdigest()
        if digest != record.digest:
            seen, expected = digest[:12], record.digest[:12]
            raise ModelError(f"model version {record.version}: {record.path} has SHA-256 {seen}; expected {expected}")
        return weights

    def publish_first(self, weights: bytes) -> ModelRecord:
        """Store weights as version 1, unless there is one: whoever comes second gets what serves then.

        Raises as `publish` does.
        """
        try:
            return transact(self.engine, lambda connection, _: self._publish(connection, weights, None, {}, version=1))
        except LedgerError as error:
            serving = self.serving()
            if not isinstance(error.__cause__, IntegrityError) or serving is None:
                raise
            return serving

    def publish(self, weights: bytes, parent: int | None, metrics: Mapping[str, float]) -> ModelRecord:
        """Store weights as the next version, durably, and let it serve; the version before retires.

        Raises:
            ModelError: the file cannot be written.
            LedgerError: the database refused.
        """
        for _ in range(_RIVALS):
            try:
                record = transact(self.engine, lambda connection, _: self._next(connection, weights, parent, metrics))
            except LedgerError as error:
                if not isinstance(error.__cause__, IntegrityError):
                    raise
            else:
                _LOG.info("model published", monitor=self.monitor, version=record.version, digest=record.digest[:12])
                return record
        raise LedgerError(f"monitor {self.monitor}: {_RIVALS} publishers were quicker; expected one at a time")

    def record_metrics(self, version: int, step: int, events: int, metrics: Mapping[str, float]) -> None:
        """Append prequential metrics, named ``<task>.<metric>`` (``<metric>`` alone: of the whole network)."""
        named = ((*_split(name), value) for name, value in _finite(metrics).items())
        now = self.clock()
        rows = [
            {"monitor": self.monitor, "version": version, "step": step, "events": events}
            | {"task": task, "metric": metric, "value": value, "recorded_at": now}
            for task, metric, value in named
        ]
        if rows:
            transact(self.engine, lambda connection, _: connection.execute(insert(TaskMetricRow), rows))

    def quarantine(self, reason: str, ranges: Mapping[Partition, tuple[int, int]]) -> None:
        """Record a refused training batch with its offsets, [first, next) of each partition."""
        offsets = {str(partition): list(span) for partition, span in ranges.items()}
        row = {"monitor": self.monitor, "reason": reason[:200], "offsets": offsets, "recorded_at": self.clock()}
        transact(self.engine, lambda connection, _: connection.execute(insert(QuarantineRow), row))

    def record_action(self, version: int, step: int, events: int, action: Action) -> None:
        """Append what the learner did about drift or harm."""
        row = {"monitor": self.monitor, "version": version, "step": step, "events": events}
        row |= {"task": action.task, "kind": action.kind, "why": action.why[:200], "recorded_at": self.clock()}
        transact(self.engine, lambda connection, _: connection.execute(insert(LearningActionRow), row))

    def _next(
        self, connection: Connection, weights: bytes, parent: int | None, metrics: Mapping[str, float]
    ) -> ModelRecord:
        newest = select(func.coalesce(func.max(_MODELS.c.version), 0)).where(_MODELS.c.monitor == self.monitor)
        return self._publish(connection, weights, parent, metrics, connection.execute(newest).scalar_one() + 1)

    def _publish(
        self, connection: Connection, weights: bytes, parent: int | None, metrics: Mapping[str, float], version: int
    ) -> ModelRecord:
        mine = _MODELS.c.monitor == self.monitor
        file = f"models/{self.monitor}/v{version:05d}.safetensors"
        row = {"monitor": self.monitor, "version": version, "parent": parent, "status": Standing.SERVING.value}
        row |= {"file": file, "digest": hashlib.sha256(weights).hexdigest()}
        row |= {"metrics": _finite(metrics), "created_at": self.clock()}
        connection.execute(insert(_MODELS), row)  # a rival's insert of this number waits here, before the file
        retire = update(_MODELS).where(mine, _MODELS.c.version != version, _MODELS.c.status == Standing.SERVING)
        connection.execute(retire.values(status=Standing.RETIRED.value))
        write_whole(self.directory / file, weights)
        return self._record(row)

    def _models(self) -> Select[*tuple[object, ...]]:
        return select(_MODELS).where(_MODELS.c.monitor == self.monitor).order_by(_MODELS.c.version.desc())

    def _select(self, query: Select[*tuple[object, ...]]) -> list[ModelRecord]:
        reader = self.engine.execution_options(reading=True)
        rows = transact(reader, lambda connection, _: connection.execute(query).mappings().all())
        return [self._record(dict(row)) for row in rows]

    def _record(self, row: Mapping[str, object]) -> ModelRecord:
        return ModelRecord(
            version=cast("int", row["version"]),
            path=str(self.directory / str(row["file"])),
            digest=str(row["digest"]),
            parent=cast("int | None", row["parent"]),
            metrics=cast("Mapping[str, float]", row["metrics"]),
            status=str(row["status"]),
        )


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def _split(name: str) -> tuple[str, str]:
    task, dot, metric = name.partition(".")
    return (task, metric) if dot else ("", name)
