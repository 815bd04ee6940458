"""Dense state: one array per field, one slot per entity, gathered and scattered a micro-batch at a time.

All state belongs to a partition and moves with it. A snapshot is a safetensors file whose name carries the
SHA-256 of its content, so that a torn or altered one is never loaded.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from schemas.errors import SnapshotError
from schemas.observation import Field, Int64, Partition

Fields = dict[str, Field]
OURS = "\0"
"""Begins the names of slots that are no entity's: an entity's name may hold no NUL."""
_NAMES = "__entities__"
_FIRST_CAPACITY = 1024


class Store:
    """State of many entities.

    Args:
        template: for each field the state of an entity never seen, with a leading axis of 1.
    """

    def __init__(self, template: Mapping[str, Field]) -> None:
        self._template = {name: np.ascontiguousarray(value) for name, value in template.items()}
        self._fields: Fields = {}
        self._capacity = 0
        self._free: list[int] = []
        self._slots: dict[Partition, dict[str, int]] = {}
        self._grow(_FIRST_CAPACITY)

    @property
    def bytes_per_entity(self) -> dict[str, int]:
        """What one entity costs, field by field."""
        return {name: int(value.nbytes) for name, value in self._template.items()}

    @property
    def entities(self) -> int:
        """How many entities hold a slot."""
        return sum(len(slots) for slots in self._slots.values())

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Partitions whose state is held."""
        return tuple(self._slots)

    def names(self, partition: Partition) -> list[str]:
        """The partition's entities."""
        return list(self._slots.get(partition, {}))

    def held(self, partition: Partition) -> Int64:
        """The slots of the partition's entities, in the order of `names`."""
        known = self._slots.get(partition, {})
        return np.fromiter(known.values(), dtype=np.int64, count=len(known))

    def slots(self, partition: Partition, entities: Iterable[str]) -> list[int]:
        """The slot of each entity; one never seen gets a fresh slot."""
        known = self._slots.setdefault(partition, {})
        found = []
        for entity in entities:
            slot = known.get(entity)
            if slot is None:
                slot = known[entity] = self._take()
            found.append(slot)
        return found

    def gather(self, names: Iterable[str], slots: Int64) -> Fields:
        """Copies of the named fields, [len(slots), ...]."""
        return {name: self._fields[name].take(slots, axis=0) for name in names}

    def scatter(self, slots: Int64, values: Mapping[str, Field]) -> None:
        """Write back. `slots` are distinct."""
        for name, value in values.items():
            self._fields[name][slots] = value

    def field(self, name: str) -> Field:
        """The whole array of one field: a view that is stale once the store grows."""
        return self._fields[name]

    def drop(self, partition: Partition) -> None:
        """Forget a partition's entities."""
        slots = list(self._slots.pop(partition, {}).values())
        self.scatter(np.array(slots, dtype=np.int64), self._template)
        self._free.extend(reversed(slots))

    def snapshot(self, partition: Partition, directory: Path, offset: int, extra: Mapping[str, Field]) -> Path:
        """Write the partition's state as of `offset`, and `extra`; the file is whole or absent. Returns its path."""
        tensors = {**self.tensors(partition), **extra}
        content = save_tensors(tensors, metadata={"offset": str(offset)})
        digest = hashlib.sha256(content).hexdigest()[:32]
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{partition.topic}-{partition.number}-{offset}-{digest}.safetensors"
        _write_whole(path, content)
        return path

    def restore(self, partition: Partition, path: Path) -> Fields:
        """Replace the partition's state by a snapshot's; SnapshotError, and no state, when it is unfit.

        Returns what was snapshot as `extra`.
        """
        self.drop(partition)
        tensors = _read_whole(path)
        self.put(partition, tensors, path.name)
        return {name: value for name, value in tensors.items() if name != _NAMES and name not in self._template}

    def tensors(self, partition: Partition) -> Fields:
        """The partition's state, and whose it is."""
        known, slots = self._slots.get(partition, {}), self.held(partition)
        tensors = {name: np.ascontiguousarray(value) for name, value in self.gather(self._fields, slots).items()}
        return tensors | {_NAMES: np.frombuffer(json.dumps(list(known)).encode() or b"[]", dtype=np.uint8)}

    def put(self, partition: Partition, tensors: Fields, source: str) -> None:
        """What `tensors` gave. Raises SnapshotError, naming its source, when it is unfit."""
        for name, value in self._template.items():
            seen = tensors.get(name)
            if seen is None or seen.shape[1:] != value.shape[1:] or seen.dtype != value.dtype:
                raise SnapshotError(f"{source}: field {name} has another shape than this configuration expects")
        slots = self.slots(partition, json.loads(tensors[_NAMES].tobytes()))
        self.scatter(np.array(slots, dtype=np.int64), {name: tensors[name] for name in self._template})

    def _take(self) -> int:
        if not self._free:
            self._grow(2 * self._capacity)
        return self._free.pop()

    def _grow(self, capacity: int) -> None:
        added = capacity - self._capacity
        for name, value in self._template.items():
            fresh = np.repeat(value, added, axis=0)
            old = self._fields.get(name)
            self._fields[name] = fresh if old is None else np.concatenate([old, fresh])
        self._free.extend(range(capacity - 1, self._capacity - 1, -1))
        self._capacity = capacity


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _read_whole(path: Path) -> Fields:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"{path.name}: cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest()[:32] != path.stem.rsplit("-", 1)[-1]:
        raise SnapshotError(f"{path.name}: content does not match its checksum")
    return dict(load_tensors(content))
