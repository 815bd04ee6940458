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
    numbers = np.array([slot for _, slot, _ in held], dtype=np.int64)
    place_of = {slot: place for place, (_, slot, _) in enumerate(held)}
    fields = slots.gather(slots.fields(), numbers)
    return {
        "entities": [entity for entity, _, _ in held],
        "ages": [age for _, _, age in held],
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


def waiting_of(shares: Mapping[Partition, Mapping[str, Any]], slots: Slots) -> tuple[list[Window], list[int]]:
    """Put the entities into slots, those not heard of for longest first, of whom some may have to be let go.

    Returns their windows that wait, in the order of the queue that they were in, and the slots that changed hands.
    """
    aged = [
        (age, partition, place)
        for partition, share in shares.items()
        for place, age in enumerate(share.get("ages", range(len(share["entities"]), 0, -1)))  # before there were ages
    ]
    held = [(partition, place) for _, partition, place in sorted(aged, key=lambda each: -each[0])[-slots.limit :]]
    found, evicted = slots.take((partition, shares[partition]["entities"][place]) for partition, place in held)
    slot_of = dict(zip(held, found, strict=True))
    waiting: list[tuple[int, Window]] = []
    for partition, share in shares.items():
        places = [place for place in range(len(share["entities"])) if (partition, place) in slot_of]
        mine = np.array([slot_of[partition, place] for place in places], dtype=np.int64)
        slots.scatter(mine, {name: field.numpy()[places] for name, field in share["fields"].items()})
        waiting += [
            (queued, _window(slot_of[partition, place], partition, *plain))
            for queued, place, *plain in share["windows"]
            if (partition, place) in slot_of
        ]
    return [window for _, window in sorted(waiting, key=lambda each: each[0])], evicted


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
