"""The model registry: versioned weights as files, their standing and their metrics in SQL."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar, cast

import structlog
from sqlalchemy import Connection, Engine, Select, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from infra.shadows import ShadowTable
from infra.standings import MODELS as _MODELS
from infra.standings import PINNED, PUBLISHED, Change, Standing, Standings
from infra.weight_files import WeightFiles, difference, read_weights
from schemas.errors import LedgerError, ModelError
from schemas.newest import UNKNOWN, Newest
from schemas.observation import Ranges
from schemas.protocols import TRAINER, Action, ModelRecord
from schemas.shadow import Settlement, Shadow
from schemas.tables import LearningActionRow, QuarantineRow, Table, TaskMetricRow
from scorer.ledger import Fence, transact

_LOG = structlog.get_logger(__name__)
_RIVALS = 20
"""How often a publisher tries the next number when another one was quicker."""
_SHOWN = 12
"""Versions that a message names."""
Changed = TypeVar("Changed")


@dataclass(frozen=True, slots=True)
class SqlRegistry:
    """`schemas.protocols.Registry`: rows in SQL, weights in files.

    Metrics that are not finite are left out: JSON has no word for them.

    Attributes:
        engine: of the monitor's database.
        monitor: whose versions.
        directory: of the files.
        clock: the time now, timezone-aware.
        shadow_rows: how many rows a version that is published must first be scored on in the shadow; 0: none.
        fence: asked in each transaction that publishes or tells of steps: another trainer may have taken over.
        beside: writes in the same transaction what belongs to the version of that number; a rival's may roll it back.
    """

    engine: Engine
    monitor: str
    directory: Path
    clock: Callable[[], datetime]
    shadow_rows: int = 0
    fence: Fence = lambda _: None
    beside: Callable[[Connection, int], None] = lambda *_: None

    def serving(self) -> ModelRecord | None:
        """The version that should serve now; None before the first was published."""
        mine = select(func.max(_MODELS.c.version)).where(_MODELS.c.monitor == self.monitor)
        serving = mine.where(_MODELS.c.status == Standing.SERVING).scalar_subquery()
        wanted = _MODELS.c.status.in_([Standing.SERVING.value, Standing.ROLLED_BACK.value])
        found = self._select(self._models().where(_MODELS.c.version >= serving, wanted))
        return replace(found[-1], fallback=len(found) > 1) if found else None

    def standing(self) -> tuple[int, int]:
        """Versions that serve and are tried in the shadow now; 0: none."""
        query = self._models().where(_MODELS.c.status.in_([Standing.SERVING.value, Standing.CHALLENGER.value]))
        found = {record.status: record.version for record in reversed(self._select(query))}
        return found.get(Standing.SERVING, 0), found.get(Standing.CHALLENGER, 0)

    def get(self, version: int) -> ModelRecord:
        """One version. Raises ModelError when it is unknown."""
        records = self._select(self._models().where(_MODELS.c.version == version))
        if not records:
            published = _some([record.version for record in self.versions()]) or "one, once it is published"
            raise ModelError(f"model version {version} of monitor {self.monitor}: unknown; expected {published}")
        return records[0]

    def versions(self) -> list[ModelRecord]:
        """Every version, newest first."""
        return self._select(self._models())

    def load(self, record: ModelRecord) -> bytes:
        """A version's weights. Raises ModelError when the file is missing or does not match its digest."""
        return read_weights(record)

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

    def publish(
        self,
        weights: bytes,
        parent: int | None,
        metrics: Mapping[str, float],
        newest: Newest = UNKNOWN,
        made_by: str = TRAINER,
    ) -> ModelRecord:
        """Store weights as the next version, durably, and let it serve, or challenge what serves: see its status.

        What trainers proved against a version that serves no more is retired at once. Where `made_by` is another than
        the trainers, they go on from it once it serves.

        Raises:
            FencedError: another trainer has taken over.
            ModelError: the file cannot be written.
            LedgerError: the database refused.
        """
        for _ in range(_RIVALS):
            try:
                record = transact(
                    self.engine,
                    lambda connection, _: self._publish(connection, weights, parent, metrics, newest, made_by),
                )
            except LedgerError as error:
                if not isinstance(error.__cause__, IntegrityError):
                    raise
            else:
                _LOG.info("model published", monitor=self.monitor, version=record.version, standing=record.status)
                self._prune()
                return record
        raise LedgerError(f"monitor {self.monitor}: {_RIVALS} publishers were quicker; expected one at a time")

    def promote(self, version: int, who: str, why: str, *, anyway: bool = False) -> ModelRecord:
        """Let a version serve, `anyway` one of another network too, for programs that are told so.

        Raises ModelError when it is unknown, serves already, is of another network, or its weights are not kept.
        """
        record = self.get(version)
        if record.status == Standing.SERVING:
            raise ModelError(f"model version {version} of monitor {self.monitor}: serves already; expected another one")
        self._check_kept(record)
        if not anyway:
            self._check_alike(record)
        self._change(lambda standings: standings.serve(version, Change(who, why)))
        return self.get(version)

    def rollback(self, to: int | None, who: str, why: str, *, anyway: bool = False) -> ModelRecord:
        """Go back to a version, or to the pinned one that served last; what served stands as rolled back.

        Raises ModelError when there is none to go back to, or as `promote` does.
        """
        pinned = [self.get(version) for version in self._pinned()]
        record = self.get(to) if to is not None else next((each for each in pinned if not self._unlike(each)), None)
        if record is None:
            like = " of the network that serves" if pinned else ""
            raise ModelError(f"monitor {self.monitor}: no version{like} is pinned; expected one that served before")
        if record.status == Standing.SERVING:
            others = ", ".join(f"v{each.version}" for each in pinned) or "another one"
            raise ModelError(f"model version {to} of monitor {self.monitor}: serves already; expected {others}")
        self._check_kept(record)
        if not anyway:
            self._check_alike(record)
        change = Change(who, why)
        self._change(lambda standings: standings.serve(record.version, change, former=Standing.ROLLED_BACK))
        return self.get(record.version)

    def shadow(self) -> Shadow | None:
        """The shadow that runs, with what all partitions have added to it."""
        reader = self.engine.execution_options(reading=True)
        return transact(reader, lambda connection, _: ShadowTable(connection, self.monitor, self.clock()).running())

    def settle(self, shadow: Shadow, settlement: Settlement) -> bool:
        """End a shadow, and let serve what it says; False: somebody else was quicker."""
        ended = self._change(lambda standings: standings.settle(shadow, settlement))
        if ended:
            _LOG.info("shadow settled", monitor=self.monitor, version=shadow.challenger, outcome=settlement.outcome)
        return ended

    def note(self, version: int, standing: str, who: str, why: str) -> None:
        """Write down what became of a version."""
        self._change(lambda standings: standings.note(version, standing, Change(who, why)))

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
            self._append(TaskMetricRow, rows)

    def forget_metrics(self, age: timedelta) -> None:
        """Delete figures of steps that are older; what a fit measured once, which has no step, stays."""
        c = TaskMetricRow
        old = delete(c).where(c.monitor == self.monitor, c.recorded_at < self.clock() - age, c.step > 0)

        def forget(connection: Connection, _: int) -> None:
            self.fence(connection)
            connection.execute(old)

        transact(self.engine, forget)

    def quarantine(self, reason: str, ranges: Ranges) -> None:
        """Record a refused training batch with its offsets, [first, next) of each partition."""
        offsets = {str(partition): list(span) for partition, span in ranges.items()}
        row = {"monitor": self.monitor, "reason": reason[:200], "offsets": offsets, "recorded_at": self.clock()}
        self._append(QuarantineRow, [row])

    def record_action(self, version: int, step: int, events: int, action: Action) -> None:
        """Append what the learner did about drift or harm."""
        row = {"monitor": self.monitor, "version": version, "step": step, "events": events}
        row |= {"task": action.task, "kind": action.kind, "why": action.why[:200], "recorded_at": self.clock()}
        self._append(LearningActionRow, [row])

    def _append(self, table: type[Table], rows: Sequence[Mapping[str, object]]) -> None:
        """Raises FencedError when another trainer has taken over: what it takes back must not come again."""

        def append(connection: Connection, _: int) -> None:
            self.fence(connection)
            connection.execute(insert(table), rows)

        transact(self.engine, append)

    def _pinned(self) -> list[int]:
        reader = self.engine.execution_options(reading=True)
        return transact(reader, lambda connection, _: Standings(connection, self.monitor, self.clock()).pinned())

    def _change(self, work: Callable[[Standings], Changed]) -> Changed:
        def changed(connection: Connection, _: int) -> Changed:
            return work(Standings.changing(connection, self.monitor, self.clock()))

        found = transact(self.engine, changed)
        self._prune()
        return found

    def _check_alike(self, record: ModelRecord) -> None:
        """Raise ModelError where the program that runs what serves could not take a version up."""
        if place := self._unlike(record):
            raise ModelError(
                f"model version {record.version} of monitor {self.monitor}: made for another network than what serves:"
                f" {place}; --anyway lets it serve, for a monitor's file that goes with it"
            )

    def _unlike(self, record: ModelRecord) -> str | None:
        """In which place a version was made for another network than what serves; None: in none that is known."""
        serving = self.serving()
        return None if serving is None else difference(record, serving)

    def _check_kept(self, record: ModelRecord) -> None:
        """Raise ModelError where a version cannot serve: its file was pruned, or is not what it was."""
        numbers = self._files().numbers()
        if record.version not in numbers:
            others = [each.version for each in self.versions() if each.status != Standing.SERVING]
            kept = _some([version for version in others if version in numbers]) or "one whose weights are"
            raise ModelError(
                f"model version {record.version} of monitor {self.monitor}: its weights are no longer kept;"
                f" expected {kept}"
            )
        self.load(record)

    def _prune(self) -> None:
        """Delete the files that nobody can need again."""
        files = self._files()
        if len(files.numbers()) <= PINNED:
            return
        reader = self.engine.execution_options(reading=True)

        def known(connection: Connection, _: int) -> tuple[int, set[int]]:
            standings = Standings(connection, self.monitor, self.clock())
            return standings.newest(), standings.kept()

        files.prune(*transact(reader, known))

    def _files(self) -> WeightFiles:
        return WeightFiles(self.directory, self.monitor)

    def _publish(
        self,
        connection: Connection,
        weights: bytes,
        parent: int | None,
        metrics: Mapping[str, float],
        newest: Newest = UNKNOWN,
        made_by: str = TRAINER,
        version: int | None = None,
    ) -> ModelRecord:
        self.fence(connection)
        standings = Standings.changing(connection, self.monitor, self.clock())
        champion, version = standings.serving(), version or standings.newest() + 1
        row = {"monitor": self.monitor, "version": version, "parent": parent, "status": Standing.CHALLENGER.value}
        row |= {"file": self._files().name(version), "digest": hashlib.sha256(weights).hexdigest()}
        row |= {"metrics": _finite(metrics), "created_at": standings.now, "made_by": made_by}
        connection.execute(insert(_MODELS), row)
        change = Change(made_by, PUBLISHED, _at(newest.event_ms), _at(newest.written_ms))
        if made_by == TRAINER and champion is not None and parent not in {None, champion}:
            row["status"] = Standing.RETIRED.value  # somebody's word was quicker: the trainers hear of it soon
            standings.move(version, Standing.RETIRED, Change(made_by, f"v{champion} came to serve meanwhile"))
        elif champion is None or not self.shadow_rows:
            standings.serve(version, change)
            row["status"] = Standing.SERVING.value
        else:
            standings.note(version, Standing.CHALLENGER, change)
            standings.open_trial(champion, version, self.shadow_rows)
        self.beside(connection, version)
        self._files().write(version, weights)
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
            made_by=str(row["made_by"]),
        )


def _some(versions: Sequence[int]) -> str:
    """The first of them, for a message; empty: there are none."""
    shown = [f"v{version}" for version in versions[:_SHOWN]]
    more = ["..."] if len(versions) > _SHOWN else []
    return f"one of {', '.join(shown + more)}" if shown else ""


def _at(time_ms: int) -> datetime | None:
    """None: unknown."""
    return datetime.fromtimestamp(time_ms / 1000, UTC) if time_ms else None


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def _split(name: str) -> tuple[str, str]:
    task, dot, metric = name.partition(".")
    return (task, metric) if dot else ("", name)
