"""Versions that take turns in one store: a network that was cut out of a wider one goes on in that one's state."""

import numpy as np
import torch

from scorer.scorer import Scorer, state_template
from scorer.store import Store
from tests.laws.ward import awake, batch, layout, stream
from trainer.network import Network
from trainer.pruning import cut
from trainer.units import axes_of, spaces_of

WARD = layout(width=16)
ROWS, ENTITIES = 60, 3


def versions() -> dict[int, Network]:
    """One as wide as configured, and the last half of its units."""
    wide = awake(Network(WARD))
    narrow = spaces_of(layout(width=8), axes_of(wide))
    kept = {
        name: torch.arange(2 * space.units).view(space.parts, -1)[:, space.units // space.parts :].flatten()
        for name, space in narrow.items()
    }
    return {1: wide, 2: cut(wide, kept, 8)}


def served(version: np.ndarray, cuts: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts of the first rows [N, S, H, Q], and the entities' hidden states [E, M, D] after them."""
    store, networks = Store(state_template(WARD)), versions()
    scorer = Scorer(WARD, store, networks.get)
    entity, values, time_ms = stream(ROWS, ENTITIES, 0)
    parts = np.split(np.arange(len(version)), cuts)
    rows = [batch(entity[part], values[part], time_ms[part], int(part[0])) for part in parts]
    scored = [
        scorer.score(each, np.zeros(len(part), dtype=np.bool_), version[part])
        for each, part in zip(rows, parts, strict=True)
    ]
    slots = np.array(store.slots(rows[0].partitions[0], [str(each) for each in range(ENTITIES)]))
    return np.concatenate([each.forecast for each in scored]), store.gather(["network.hidden"], slots)["network.hidden"]


WIDE_FIRST = np.where(np.arange(ROWS) < 30, 1, 2)


def test_a_cut_version_takes_over_between_any_two_rows_of_a_batch() -> None:
    (whole, _), (parts, _) = served(WIDE_FIRST), served(WIDE_FIRST, cuts=(11, 30, 44))
    assert np.array_equal(whole, parts, equal_nan=True)


def test_it_moves_the_state_of_its_own_units_and_leaves_that_of_the_others_as_it_was() -> None:
    (_, before), (_, after) = served(WIDE_FIRST[:30]), served(WIDE_FIRST)
    assert np.array_equal(before[..., :8], after[..., :8])
    assert (before[..., 8:] != after[..., 8:]).any(axis=(1, 2)).all()
