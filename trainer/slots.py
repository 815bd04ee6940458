"""Dense arrays with one slot per entity, bounded: the entity not heard of for longest makes room."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

import numpy as np

from schemas.observation import Field, Int64, Partition

Key = tuple[Partition, str]
_FIRST_CAPACITY = 256
_MEMORY_BYTES = 256 * 2**20
LEAST_ENTITIES, _MOST_ENTITIES = 4096, 100_000
"""As many entities as fit into 256 MiB, within these bounds."""


class Slots:
    """State of at most `limit` entities.

    Args:
        template: for each field the state of an entity never seen, with a leading axis of 1.
        limit: most entities held; None: what fits into memory.

    Attributes:
        limit: most entities held.
    """

    def __init__(self, template: Mapping[str, Field], limit: int | None = None) -> None:
        self._template = dict(template)
        each = sum(value.nbytes for value in template.values())
        self.limit = limit or min(max(_MEMORY_BYTES // each, LEAST_ENTITIES), _MOST_ENTITIES)
        self._slot_of: OrderedDict[Key, int] = OrderedDict()
        self._fields: dict[str, Field] = {name: value[:0] for name, value in template.items()}

    def __len__(self) -> int:
        return len(self._slot_of)

    def take(self, keys: Iterable[Key]) -> tuple[list[int], list[int]]:
        """The slot of each key (distinct, at most `limit`), and the slots that changed hands for them."""
        found: list[int] = []
        evicted: list[int] = []
        for key in keys:
            slot = self._slot_of.pop(key, None)
            if slot is None:
                slot = self._free(evicted)
            self._slot_of[key] = slot
            found.append(slot)
        for name, value in self._template.items():
            self._fields[name][evicted] = value
        return found, evicted

    def find(self, keys: Iterable[Key]) -> Int64:
        """The slot of each key, -1 where there is none; it counts as no word from an entity."""
        return np.array([self._slot_of.get(key, -1) for key in keys], dtype=np.int64)

    def gather(self, names: Iterable[str], slots: Int64) -> dict[str, Field]:
        """Copies of the named fields, [len(slots), ...]."""
        return {name: self._fields[name][slots] for name in names}

    def scatter(self, slots: Int64, values: Mapping[str, Field]) -> None:
        """Write back. `slots` are distinct."""
        for name, value in values.items():
            self._fields[name][slots] = value

    def fits(self, values: Mapping[str, Field]) -> bool:
        """Are they of sizes that can be written back?"""
        sizes = {name: value.shape[1:] for name, value in self._template.items()}
        return all(sizes.get(name) == value.shape[1:] for name, value in values.items())

    def copy_field(self, source: str, target: str) -> None:
        """Every slot's `target` becomes its `source`."""
        self._fields[target][:] = self._fields[source]

    def of(self, partition: Partition) -> list[tuple[str, int, int]]:
        """A partition's entities, the one not heard of for longest first: name, slot, how many others came since."""
        newest = len(self) - 1
        each = enumerate(self._slot_of.items())
        return [(entity, slot, newest - place) for place, ((held, entity), slot) in each if held == partition]

    def fields(self) -> tuple[str, ...]:
        """Names of what is held of each."""
        return tuple(self._template)

    def _free(self, evicted: list[int]) -> int:
        if len(self._slot_of) >= self.limit:
            slot = self._slot_of.popitem(last=False)[1]
            evicted.append(slot)
            return slot
        slot = len(self._slot_of)
        capacity = len(next(iter(self._fields.values())))
        if slot >= capacity:
            added = min(max(capacity, _FIRST_CAPACITY), self.limit - capacity)
            for name, value in self._template.items():
                self._fields[name] = np.concatenate([self._fields[name], np.repeat(value, added, axis=0)])
        return slot
