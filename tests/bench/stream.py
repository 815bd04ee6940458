"""The benchmark's observations: made from a seed, the same for every system.

T steps, E entities, S signals.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

SIGNALS = ("hr", "systolic", "map", "resp", "spo2", "temp")
ENTITIES = 500
PARTITIONS = 4
BAND_HIGH = 180.0
"""A heart rate above this is an alert in every system."""
STEP_MS = 300_000
START_MS = 1_767_225_600_000
"""2026-01-01: the past, so that no event time is ahead of the clock."""

_LEVEL = np.array([80.0, 120.0, 90.0, 16.0, 97.0, 37.0])
_SPREAD = np.array([6.0, 9.0, 6.0, 2.0, 0.8, 0.3])
_SPIKE = 8.0
_SPIKE_RATE = 0.001
_BREAK = 200.0
_STEPS_PER_DAY = 86_400_000 // STEP_MS


@dataclass(frozen=True, slots=True)
class Walks:
    """Values of every entity at every step, [T, E, S], and where the band is broken, [T, E]."""

    values: NDArray[np.float64]
    broken: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of observations."""
        return self.broken.size

    def each(self) -> Iterator[tuple[int, int]]:
        """Step and entity of every observation, step by step, entities in an order of their own at each step."""
        chance = np.random.default_rng(3)
        for step in range(len(self.values)):
            for entity in chance.permutation(ENTITIES).tolist():
                yield step, entity


def walks(count: int, break_rate: float, seed: int = 7) -> Walks:
    """At least `count` observations: correlated mean-reverting walks on a daily shape, rare spikes, broken bands.

    No entity breaks its band twice in a row, so that each break is an alert of its own.
    """
    chance = np.random.default_rng(seed)
    steps = -(-count // ENTITIES)
    mixing = np.linalg.cholesky(0.4 + 0.6 * np.eye(len(SIGNALS)))
    noise = chance.standard_normal((steps, ENTITIES, len(SIGNALS))) @ mixing.T
    walk = np.empty_like(noise)
    state = noise[0]
    for step in range(steps):
        state = 0.95 * state + 0.31 * noise[step]
        walk[step] = state
    phase = chance.uniform(0, 2 * np.pi, ENTITIES)
    day = np.sin(2 * np.pi * np.arange(steps)[:, None] / _STEPS_PER_DAY + phase)
    walk += day[..., None]
    walk += _SPIKE * (chance.random(walk.shape) < _SPIKE_RATE)
    broken = chance.random((steps, ENTITIES)) < break_rate
    broken[1:] &= ~broken[:-1]
    values = np.round(_LEVEL + _SPREAD * walk, 2)
    values[..., 0] = np.where(broken, _BREAK, values[..., 0])
    return Walks(values, broken)


def entity_name(entity: int) -> str:
    """Name of an entity, also its records' key."""
    return f"e{entity:04d}"


def records(made: Walks, count: int) -> list[tuple[bytes, bytes, int | None]]:
    """The first `count` observations as Kafka records: key, JSON value, no timestamp of their own."""
    encode = msgspec.json.Encoder().encode
    found: list[tuple[bytes, bytes, int | None]] = []
    for step, entity in made.each():
        if len(found) == count:
            break
        name = entity_name(entity)
        signals = dict(zip(SIGNALS, made.values[step, entity].tolist(), strict=True))
        value = encode({"entity": name, "time": START_MS + step * STEP_MS + entity, **signals})
        found.append((name.encode(), value, None))
    return found
