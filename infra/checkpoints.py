"""Where a monitor's trainers stood together, and what they did in between: files on disk, rows in SQL, some kept.

A version's steps are written down with it, for its trainers may die before they write down what they hold: then others
go on from the checkpoint before, and this way leads nowhere but to the version.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import structlog
from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy import Table as SqlTable

from infra.durable import write_whole
from infra.told_rows import newest_told, take_back
from schemas.errors import ModelError
from schemas.observation import Partition
from schemas.tables import CheckpointRow
from scorer.ledger import Fence, transact

SHARED = "shared.pt"
"""What all ranks hold alike."""
_KEPT = 3
"""A torn newest one must leave others to fall back on."""
_KEPT_VERSIONS = 8
"""Versions whose making can be repeated, besides: from the checkpoint before each."""
_CHECKPOINTS = cast("SqlTable", CheckpointRow.__table__)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One of them; not `whole`: the log that led to a version, where nobody can go on from.

    Attributes:
        id: its number; 0 before it was recorded.
        parent: of the one before, whole or not, since which its log goes; None: they began.
        generation: the ledger's epoch, which grows whenever trainers are counted anew.
        ranks: how many learned together.
        step: how many steps were taken, and how many rows learned (`events`), since the beginning.
        version: of the model that was judged against.
        folder: of the files, under the monitor's directory.
        files: name -> SHA-256.
        offsets: partition -> first offset not taken in.
        log: for each rank a list of [step, batches taken in before it, version published by it or null, versions that
            served and were tried where that was news before it, or null]; a batch is a list of [partition, first
            offset, next one]. An entry of a whole one may repeat the last step's number: no step followed.
        told: table -> newest row that trainers had written into it; empty: not known.
        origin: ids of the cluster and the topic that the offsets are of; empty: not known.
    """

    id: int
    parent: int | None
    generation: int
    ranks: int
    step: int
    events: int
    version: int
    folder: str
    files: Mapping[str, str]
    offsets: Mapping[Partition, int]
    log: Sequence[Sequence[Sequence[Any]]]
    told: Mapping[str, int] = field(default_factory=dict)
    origin: str = ""

    def is_of(self, origin: str) -> bool:
        """Are its offsets those of that topic, as far as is known?"""
        return self.origin in {"", origin}

    @property
    def whole(self) -> bool:
        """Does it hold what the next steps depend on?"""
        return SHARED in self.files

    @property
    def published(self) -> set[int]:
        """Versions that were published on the way to it."""
        return {entry[2] for entries in self.log for entry in entries if entry[2] is not None}

    def publishing(self, version: int) -> "Checkpoint":
        """The same, whose last step published this version."""
        return replace(self, log=[[*before, [*last[:2], version, *last[3:]]] for *before, last in self.log])


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """A monitor's checkpoints, in `<directory>/trainers/<monitor>/<generation>-<step>-<mark>/`."""

    engine: Engine
    monitor: str
    directory: Path
    clock: Callable[[], datetime]

    def folder(self, generation: int, step: int, mark: str) -> str:
        """Where the files of a new one go; by its mark it is another one than that of any before."""
        return f"trainers/{self.monitor}/{generation:06d}-{step:09d}-{mark}"

    def write(self, folder: str, name: str, content: bytes) -> str:
        """Write one of its files, durably; its SHA-256. Raises ModelError when it cannot be written."""
        write_whole(self.directory / folder / name, content)
        return hashlib.sha256(content).hexdigest()

    def read(self, checkpoint: Checkpoint, name: str) -> bytes:
        """One of its files. Raises ModelError when it is missing, or another one than was written."""
        path = self.directory / checkpoint.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"checkpoint {checkpoint.id}: {path} cannot be read: {error.strerror}") from error
        digest = hashlib.sha256(content).hexdigest()
        if digest != checkpoint.files[name]:
            seen, expected = digest[:12], checkpoint.files[name][:12]
            raise ModelError(f"checkpoint {checkpoint.id}: {path} has SHA-256 {seen}; expected {expected}")
        return content

    def newest_sound(self) -> Checkpoint | None:
        """The newest whole one of which every file is what it was; None: there is none to go on from."""
        for checkpoint in self.whole():
            try:
                for name in checkpoint.files:
                    self.read(checkpoint, name)
            except ModelError as error:
                _log.warning("checkpoint unfit, trying the one before", checkpoint=checkpoint.id, why=str(error))
            else:
                return checkpoint
        return None

    def all(self) -> list[Checkpoint]:
        """Those kept, newest first."""
        reader = self.engine.execution_options(reading=True)
        return transact(reader, lambda connection, _: self._all(connection))

    def whole(self) -> list[Checkpoint]:
        """Those of them that one can go on from."""
        return [each for each in self.all() if each.whole]

    def add(self, checkpoint: Checkpoint, fence: Fence = lambda _: None) -> int:
        """Record one whose files are written, and let go of old ones, and of what killed trainers left; its number.

        Raises FencedError where other trainers have taken over.
        """

        def added(connection: Connection, _: int) -> tuple[int, set[str], set[str]]:
            fence(connection)
            return self.record(connection, checkpoint), *self._let_go(connection)

        number, kept, gone = transact(self.engine, added)
        for folder in (gone | self._folders(checkpoint.generation)) - kept:
            shutil.rmtree(self.directory / folder, ignore_errors=True)
        return number

    def record(self, connection: Connection, checkpoint: Checkpoint) -> int:
        """Record one whose files are written within somebody's transaction; its number."""
        row = {
            "monitor": self.monitor,
            "parent": checkpoint.parent,
            "generation": checkpoint.generation,
            "ranks": checkpoint.ranks,
            "step": checkpoint.step,
            "events": checkpoint.events,
            "model_version": checkpoint.version,
            "folder": checkpoint.folder,
            "files": dict(checkpoint.files),
            "offsets": {f"{partition.topic}/{partition.number}": at for partition, at in checkpoint.offsets.items()},
            "log": list(checkpoint.log),
            "told": dict(checkpoint.told),
            "origin": checkpoint.origin,
            "recorded_at": self.clock(),
        }
        return int(connection.execute(insert(_CHECKPOINTS).returning(_CHECKPOINTS.c.id), row).scalar_one())

    def told(self) -> dict[str, int]:
        """What trainers have told until now; no rank may tell more before the checkpoint is recorded with it."""
        reader = self.engine.execution_options(reading=True)
        return transact(reader, lambda connection, _: newest_told(connection, self.monitor))

    def go_on_from(self, checkpoint: Checkpoint, fence: Fence) -> None:
        """Take back what trainers told of steps after it: they are done anew.

        Raises FencedError where other trainers have taken over.
        """

        def taken_back(connection: Connection, _: int) -> int:
            fence(connection)
            return take_back(connection, self.monitor, checkpoint.told)

        if gone := transact(self.engine, taken_back):
            _log.info("steps are done anew, what was told of them is taken back", step=checkpoint.step, rows=gone)

    def _folders(self, generation: int) -> set[str]:
        """Those there are, but for what trainers that take over just now may be writing."""
        root = self.directory / "trainers" / self.monitor
        names = [each.name for each in root.iterdir()] if root.is_dir() else []
        return {f"trainers/{self.monitor}/{name}" for name in names if _generation(name) <= generation}

    def _let_go(self, connection: Connection) -> tuple[set[str], set[str]]:
        """Delete the rows of old ones; the folders of those that are left, and theirs."""
        found = self._all(connection)
        kept = _kept(found)
        gone = [each for each in found if each.id not in kept]
        if gone:
            connection.execute(delete(_CHECKPOINTS).where(_CHECKPOINTS.c.id.in_([each.id for each in gone])))
        return {each.folder for each in found if each.id in kept}, {each.folder for each in gone}

    def _all(self, connection: Connection) -> list[Checkpoint]:
        c = _CHECKPOINTS.c
        query = select(_CHECKPOINTS).where(c.monitor == self.monitor)
        rows = connection.execute(query.order_by(c.id.desc())).mappings()
        return [_checkpoint(row) for row in rows]


def _generation(folder: str) -> int:
    """Of the trainers that wrote it; 0 of a name that is none of ours today."""
    number = folder.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def file_of(partition: Partition) -> str:
    """Name of the file of what is held of its entities."""
    return f"{partition.topic}-{partition.number}.pt"


def told_of(rank: int) -> str:
    """Name of the file of what labels taught on a rank, in the steps since the checkpoint before."""
    return f"told-{rank}.pt"


def way_to(last: Checkpoint, kept: Sequence[Checkpoint]) -> list[Checkpoint]:
    """From the whole one before it to `last`, each going on from the one before; empty: one of them is not kept."""
    known = {each.id: each for each in kept}
    way = [last]
    while (before := known.get(way[0].parent or 0)) is not None and before.id < way[0].id:
        way.insert(0, before)
        if way[0].whole:
            return way
    return []


def _kept(found: Sequence[Checkpoint]) -> set[int]:
    """The newest whole ones, those during which the last versions were published, and the ways to these.

    Besides, one of each age in steps, 1, 2-3, 4-7 and so on: what was learned since any step can be learned anew from
    at most four times as long ago.
    """
    whole = [each for each in found if each.whole]
    kept = {each.id for each in whole[:_KEPT]}
    # Of an age the oldest comes last.
    kept |= set({max(whole[0].step - each.step, 0).bit_length(): each.id for each in whole}.values())
    publishing = [each for each in found if each.published]
    versions = 0
    for each in publishing:
        if versions >= _KEPT_VERSIONS:
            break
        versions += len(each.published)
        kept |= {each.id, *(before.id for before in way_to(each, found))}
    return kept


def _checkpoint(row: Mapping[Any, Any]) -> Checkpoint:
    return Checkpoint(
        id=row["id"],
        parent=row["parent"],
        generation=row["generation"],
        ranks=row["ranks"],
        step=row["step"],
        events=row["events"],
        version=row["model_version"],
        folder=row["folder"],
        files=row["files"],
        offsets={_partition(name): at for name, at in row["offsets"].items()},
        log=row["log"],
        told=row["told"],
        origin=row["origin"],
    )


def _partition(name: str) -> Partition:
    topic, _, number = name.rpartition("/")
    return Partition(topic, int(number))
