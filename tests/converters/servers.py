"""Made-up servers: one-minute metrics of machines with labelled faults, for tables of detection beside the open data.

Columns come in groups (processor, memory, network, disk, connections) that follow two hidden loads: traffic, with a
daily cycle and slow noise, and jobs, which start at fixed minutes. On top stand each column's own noise and bursts.
A column is then read as a share that saturates, a volume with a heavy tail, a count, rare events (nearly always 0), a
filling store with resets, a moving average of its neighbour, or a constant. Deploys change levels for good, and are no
faults. Faults move some columns of one to three groups by a few of their own deviations, before the column is read;
their first and last rows may look ordinary, as those of labels made by people do.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy.signal import lfilter

_Kind = TypeVar("_Kind", bound=StrEnum)
_DAY = 1440
_GROUPS = ("cpu", "mem", "net", "disk", "tcp")
_START = pd.Timestamp("2024-01-01", tz="UTC")
_SHARE = (0.04, 0.12)
"""Of the rows, faulty."""
_LENGTH = (10, 600)
_CLEAN = 0.1
"""Of the rows, at the start, without a fault."""


class Reading(StrEnum):
    """What a column shows of what lies beneath."""

    SHARE = "share"
    VOLUME = "volume"
    COUNT = "count"
    RARE = "rare"
    FILLING = "filling"
    AVERAGE = "average"
    CONSTANT = "constant"


_ODDS = {
    Reading.SHARE: 0.2,
    Reading.VOLUME: 0.25,
    Reading.COUNT: 0.15,
    Reading.RARE: 0.15,
    Reading.FILLING: 0.05,
    Reading.AVERAGE: 0.1,
    Reading.CONSTANT: 0.1,
}


class Failing(StrEnum):
    """How a fault moves the columns that it touches."""

    SURGE = "surge"
    STALL = "stall"
    CLIMB = "climb"
    NOISE = "noise"
    SWAP = "swap"
    STUCK = "stuck"


_FAILING = {
    Failing.SURGE: 0.4,
    Failing.STALL: 0.15,
    Failing.CLIMB: 0.15,
    Failing.NOISE: 0.1,
    Failing.SWAP: 0.1,
    Failing.STUCK: 0.1,
}


def servers(seed: int, machines: int = 6, rows: int = 8000, severity: float = 1.5) -> pd.DataFrame:
    """`entity`, `time`, 25 to 38 signals, `label`; the signals' kinds are the fleet's, all else is each machine's.

    Args:
        seed: of every draw.
        machines: how many.
        rows: of each.
        severity: multiplies how far faults move a column.
    """
    random = np.random.default_rng(seed)
    n_signals = int(random.integers(25, 39))
    group_S = np.sort(random.integers(len(_GROUPS), size=n_signals))
    reading_S = [_drawn(_ODDS, random) for _ in range(n_signals)]
    names = [f"{_GROUPS[group]}_{column}" for column, group in enumerate(group_S)]
    parts = []
    for machine in range(machines):
        beneath_NS = _beneath(group_S, rows, random)
        label_N = _break(beneath_NS, group_S, severity, random)
        shown = [_read(reading, beneath, random) for reading, beneath in zip(reading_S, beneath_NS.T, strict=True)]
        part = pd.DataFrame(np.column_stack(shown).round(4), columns=names).assign(label=label_N)
        part.insert(0, "entity", f"machine-{seed}-{machine}")
        part.insert(1, "time", _START + pd.to_timedelta(np.arange(rows), unit="min"))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _beneath(group_S: np.ndarray, rows: int, random: np.random.Generator) -> np.ndarray:
    """What the columns follow, each with a standard deviation near 1, [N, S]."""
    loads_N2 = np.column_stack([_traffic(rows, random), _jobs(rows, random)])
    weight_G2 = np.column_stack(
        [random.uniform(0.2, 1.0, len(_GROUPS)), random.uniform(0.1, 0.8, len(_GROUPS)) * (random.random(5) < 0.5)]
    )
    columns = []
    for group in group_S:
        weight = weight_G2[group] * random.uniform(0.6, 1.4, 2)
        own = _wander(rows, random.uniform(1.0, 60.0), random) * random.uniform(0.2, 0.7)
        columns.append(loads_N2 @ weight + own + _bursts(rows, random))
    beneath_NS = np.column_stack(columns)
    for _ in range(random.poisson(1.5)):
        moved = random.random(len(group_S)) < 0.3
        beneath_NS[int(random.integers(rows)) :, moved] += random.normal(size=int(moved.sum())) * 0.8
    return beneath_NS


def _traffic(rows: int, random: np.random.Generator) -> np.ndarray:
    phase = 2.0 * np.pi * (np.arange(rows) / _DAY + random.random())
    day = np.sin(phase) + random.uniform(0.0, 0.5) * np.sin(2.0 * phase + random.uniform(0.0, 6.0))
    return 0.7 * day + 0.35 * _wander(rows, 240.0, random) + 0.25 * _wander(rows, 10.0, random)


def _jobs(rows: int, random: np.random.Generator) -> np.ndarray:
    """A nightly job, and a short one every so many minutes."""
    minute = np.arange(rows)
    every, nightly = int(random.choice([30, 60, 120])), int(random.integers(_DAY))
    night = (minute - nightly + random.integers(0, 5)) % _DAY < random.integers(20, 90)
    return 2.5 * night + 0.8 * (minute % every < random.integers(1, 5)) + 0.2 * random.normal(size=rows)


def _wander(rows: int, memory: float, random: np.random.Generator) -> np.ndarray:
    """An autoregressive series that remembers so many rows, of variance 1."""
    keep = np.exp(-1.0 / memory)
    steps = random.normal(size=rows) * np.sqrt(1.0 - keep**2)
    steps[0] = random.normal()
    return np.asarray(lfilter([1.0], [1.0, -keep], steps))


def _bursts(rows: int, random: np.random.Generator) -> np.ndarray:
    """Ordinary short peaks of one column: some have them, others not."""
    series = np.zeros(rows)
    if random.random() < 0.4:
        for start in random.integers(rows, size=random.poisson(rows * 0.004)).tolist():
            series[start : start + int(random.integers(1, 6))] += random.exponential(1.5)
    return series


def _break(beneath_NS: np.ndarray, group_S: np.ndarray, severity: float, random: np.random.Generator) -> np.ndarray:
    """Put faults in, in place; the labels."""
    rows = len(beneath_NS)
    label_N = np.zeros(rows, dtype=np.int8)
    wanted = random.uniform(*_SHARE) * rows
    while label_N.sum() < wanted:
        length = int(np.exp(random.uniform(*np.log(_LENGTH))))
        start = int(random.integers(int(_CLEAN * rows), rows - length))
        if label_N[max(start - 60, 0) : start + length + 60].any():
            continue
        label_N[start : start + length] = 1
        first = start + int(random.uniform(0.0, 0.2) * length)
        last = start + length - int(random.uniform(0.0, 0.2) * length)
        _fail(beneath_NS, slice(first, last), group_S, severity, random)
    return label_N


def _fail(
    beneath_NS: np.ndarray, where: slice, group_S: np.ndarray, severity: float, random: np.random.Generator
) -> None:
    failing = _drawn(_FAILING, random)
    groups = random.choice(len(_GROUPS), size=int(random.integers(1, 4)), replace=False)
    touched = np.flatnonzero(np.isin(group_S, groups) & (random.random(len(group_S)) < random.uniform(0.3, 0.9)))
    length = where.stop - where.start
    size = severity * random.uniform(1.0, 4.0)
    for column in touched:
        part = beneath_NS[where, column]
        amount = size * random.uniform(0.5, 1.5)
        if failing is Failing.SURGE:
            beneath_NS[where, column] = part + amount
        elif failing is Failing.STALL:
            beneath_NS[where, column] = part - amount
        elif failing is Failing.CLIMB:
            beneath_NS[where, column] = part + 1.5 * amount * np.linspace(0.0, 1.0, length)
        elif failing is Failing.NOISE:
            beneath_NS[where, column] = part + amount * random.normal(size=length)
        elif failing is Failing.SWAP:
            other = int(random.integers(len(beneath_NS) - length))
            beneath_NS[where, column] = beneath_NS[other : other + length, column]
        else:
            beneath_NS[where, column] = part[0]


def _drawn(odds: Mapping[_Kind, float], random: np.random.Generator) -> _Kind:
    return list(odds)[int(random.choice(len(odds), p=list(odds.values())))]


def _read(reading: Reading, beneath_N: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if reading is Reading.SHARE:
        shown = 100.0 / (1.0 + np.exp(random.uniform(0.5, 3.0) - beneath_N))
    elif reading is Reading.VOLUME:
        shown = np.exp(random.uniform(2.0, 10.0) + random.uniform(0.3, 1.0) * beneath_N)
    elif reading is Reading.COUNT:
        shown = np.round(np.maximum(random.uniform(5.0, 200.0) * (1.0 + 0.3 * beneath_N), 0.0))
    elif reading is Reading.RARE:
        rate = np.exp(random.uniform(-7.0, -3.0) + 1.5 * beneath_N)
        shown = random.poisson(np.minimum(rate, 1e4)).astype(np.float64)
    elif reading is Reading.FILLING:
        fill = np.cumsum(np.exp(0.3 * beneath_N)) * random.uniform(1e-3, 1e-2)
        shown = fill % random.uniform(10.0, 40.0) + 0.5 * beneath_N
    elif reading is Reading.AVERAGE:
        shown = pd.Series(beneath_N).ewm(span=random.choice([5, 15, 60])).mean().to_numpy() + 4.0
    else:
        shown = np.full(len(beneath_N), random.choice([0.0, 1.0, 16.0]))
    return shown
