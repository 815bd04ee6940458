"""Where a monitor's trainers stood together: files on disk, one row each in SQL, the last few kept."""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import structlog
from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy import Table as SqlTable

from infra.durable import write_whole
from schemas.errors import ModelError
from schemas.observation import Partition
from schemas.tables import CheckpointRow
from scorer.ledger import transact

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
    """One of them.

    Attributes:
        id: its number; 0 before it was recorded.
        parent: of the one that its trainers went on from; None: they began.
        generation: the ledger's epoch, which grows whenever trainers are counted anew.
        ranks: how many learned together.
        step: how many steps were taken, and how many rows learned (`events`), since the beginning.
        version: of the model that was judged against.
        folder: of the files, under the monitor's directory.
        files: name -> SHA-256.
        offsets: partition -> first offset not taken in.
        log: for each rank a list of [step, batches taken in before it, version published by it or null, versions that
            served and were tried where that was news before it, or null]; a batch is a list of [partition, first
            offset, next one]. An entry may repeat the last step's number: no step followed.
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

    @property
    def published(self) -> set[int]:
        """Versions that were published on the way to it."""
        return {entry[2] for entries in self.log for entry in entries if entry[2] is not None}


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """A monitor's checkpoints, in `<directory>/trainers/<monitor>/<generation>-<step>/`."""

    engine: Engine
    monitor: str
    directory: Path
    clock: Callable[[], datetime]

    def folder(self, generation: int, step: int) -> str:
        """Where the files of a new one go."""
        return f"trainers/{self.monitor}/{generation:06d}-{step:09d}"

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
        """The newest one of which every file is what it was; None: there is none to go on from."""
        for checkpoint in self.all():
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

    def add(self, checkpoint: Checkpoint) -> int:
        """Record one whose files are written, and let go of old ones; its number."""
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
            "recorded_at": self.clock(),
        }
        number, gone = transact(self.engine, lambda connection, _: self._add(connection, row))
        for folder in gone:
            shutil.rmtree(self.directory / folder, ignore_errors=True)
        return number

    def _add(self, connection: Connection, row: Mapping[str, object]) -> tuple[int, list[str]]:
        number = connection.execute(insert(_CHECKPOINTS).returning(_CHECKPOINTS.c.id), row).scalar_one()
        found = self._all(connection)
        kept = _kept(found)
        gone = [each for each in found if each.id not in kept]
        if gone:
            connection.execute(delete(_CHECKPOINTS).where(_CHECKPOINTS.c.id.in_([each.id for each in gone])))
        folders = {each.folder for each in found if each.id in kept}
        return number, [each.folder for each in gone if each.folder not in folders]

    def _all(self, connection: Connection) -> list[Checkpoint]:
        c = _CHECKPOINTS.c
        query = select(_CHECKPOINTS).where(c.monitor == self.monitor)
        rows = connection.execute(query.order_by(c.generation.desc(), c.step.desc(), c.id.desc())).mappings()
        return [_checkpoint(row) for row in rows]


def file_of(partition: Partition) -> str:
    """Name of the file of what is held of its entities."""
    return f"{partition.topic}-{partition.number}.pt"


def told_of(rank: int) -> str:
    """Name of the file of what labels taught on a rank, in the steps since the checkpoint before."""
    return f"told-{rank}.pt"


def _kept(found: Sequence[Checkpoint]) -> set[int]:
    """The newest, those during which the last versions were published, and those that they went on from.

    Besides, one of each age in steps, 1, 2-3, 4-7 and so on: what was learned since any step can be learned anew from
    at most four times as long ago.
    """
    kept = {each.id for each in found[:_KEPT]}
    # A later one of the same step wrote over the files; of an age the oldest comes last.
    whole = {each.folder: each for each in reversed(found)}
    kept |= set({max(found[0].step - each.step, 0).bit_length(): each.id for each in reversed(whole.values())}.values())
    publishing = [each for each in found if each.published]
    versions = 0
    for each in publishing:
        if versions >= _KEPT_VERSIONS:
            break
        versions += len(each.published)
        kept |= {each.id} | ({each.parent} if each.parent is not None else set())
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
    )


def _partition(name: str) -> Partition:
    topic, _, number = name.rpartition("/")
    return Partition(topic, int(number))
