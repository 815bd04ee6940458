"""A partition's share of what a rank holds: its entities, their windows that wait, and old ones that are kept."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from schemas.observation import Partition
from trainer.kept import Kind
from trainer.past import Past
from trainer.slots import Slots
from trainer.windows import Window

_NOBODY = -1
"""Slot of windows that are kept for their own sake."""


def share_of(partition: Partition, slots: Slots, waiting: Iterable[Window], kept: Iterable[Kind]) -> dict[str, Any]:
    """Tensors, numbers and text; windows that wait with their places in the queue.

    Args:
        partition: whose.
        slots: of all entities.
        waiting: the queue, of all entities.
        kept: of the partition.
    """
    held = slots.of(partition)
    numbers = np.array(list(held.values()), dtype=np.int64)
    place_of = {slot: place for place, slot in enumerate(held.values())}
    fields = slots.gather(slots.fields(), numbers)
    return {
        "entities": list(held),
        "fields": {name: torch.from_numpy(field) for name, field in fields.items()},
        "windows": [
            (place, place_of[window.slot], *_plain(window))
            for place, window in enumerate(waiting)
            if window.slot in place_of
        ],
        "kept": [
            (canary, each.regime, torch.from_numpy(each.statistics_FS), *_plain(each.window)) for canary, each in kept
        ],
    }


def fits(share: Mapping[str, Any], slots: Slots) -> bool:
    """Was it held for the same windows and network? Those of other horizons look further ahead."""
    return slots.fits({name: field.numpy() for name, field in share["fields"].items()})


def waiting_of(shares: Mapping[Partition, Mapping[str, Any]], slots: Slots) -> list[Window]:
    """Put the entities into slots; the windows that wait, in the order of the queue that they were in."""
    waiting: list[tuple[int, Window]] = []
    for partition, share in shares.items():
        found, _ = slots.take((partition, entity) for entity in share["entities"])
        slots.scatter(np.array(found, dtype=np.int64), {name: field.numpy() for name, field in share["fields"].items()})
        waiting += [(place, _window(found[entity], partition, *plain)) for place, entity, *plain in share["windows"]]
    return [window for _, window in sorted(waiting, key=lambda each: each[0])]


def kept_of(partition: Partition, share: Mapping[str, Any]) -> list[Kind]:
    """The old windows that are kept."""
    return [
        (canary, Past(_window(_NOBODY, partition, *plain), statistics.numpy(), regime))
        for canary, regime, statistics, *plain in share["kept"]
    ]


def _plain(window: Window) -> tuple[Tensor, Tensor, Tensor, tuple[int, int], dict[str, Tensor]]:
    """A window as tensors; its slot and partition aside."""
    vectors = {name: torch.from_numpy(vector) for name, vector in window.vectors.items()}
    values, time_ms, rules = (torch.from_numpy(each) for each in (window.values, window.time_ms, window.rules))
    return values, time_ms, rules, window.offsets, vectors


def _window(
    slot: int,
    partition: Partition,
    values: Tensor,
    time_ms: Tensor,
    rules: Tensor,
    offsets: tuple[int, int],
    vectors: Mapping[str, Tensor],
) -> Window:
    arrays = {name: vector.numpy() for name, vector in vectors.items()}
    return Window(slot, values.numpy(), time_ms.numpy(), rules.numpy(), partition, offsets, arrays)
