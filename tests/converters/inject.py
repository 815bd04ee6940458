"""Seeded faults, with labels, in any wide frame: for tables of detection where the data has no labels."""

from enum import StrEnum

import numpy as np
import pandas as pd


class Fault(StrEnum):
    """What goes wrong with some signals of one entity."""

    SPIKE = "spike"
    SHIFT = "shift"
    DRIFT = "drift"
    NOISE = "noise"
    FLATLINE = "flatline"
    SWAP = "swap"


_LENGTHS = {Fault.SPIKE: (1, 3)}
_LENGTH = (10, 60)


def inject(
    wide: pd.DataFrame, seed: int, per_thousand: float = 2.0, faults: tuple[Fault, ...] = tuple(Fault)
) -> pd.DataFrame:
    """A copy with faults, and `label` 1 on the rows they touch.

    Sizes are 2 to 6 typical deviations of the signal's changes (median absolute one, over 0.6745) for spikes and
    noise, and of its values for shifts and drifts: neither trivial nor invisible. A swap shows the values of another
    stretch of the same signal: each is ordinary by itself, the signals together are not. The first fifth of each
    entity stays clean.

    Args:
        wide: `entity`, `time`, signals; rows of an entity in time order. A column `label` is replaced.
        seed: of every draw.
        per_thousand: faults begun per thousand rows.
        faults: kinds to draw from.
    """
    random = np.random.default_rng(seed)
    result = wide.drop(columns="label", errors="ignore").reset_index(drop=True)
    signals = [name for name in result.columns if name not in ("entity", "time")]
    values = result[signals].to_numpy(dtype=np.float64, copy=True)
    label = np.zeros(len(result), dtype=np.int8)
    for rows in result.groupby("entity", sort=False).indices.values():
        clean = len(rows) // 5
        for _ in range(random.poisson(per_thousand * (len(rows) - clean) / 1000.0)):
            fault = faults[random.integers(len(faults))]
            low, high = _LENGTHS.get(fault, _LENGTH)
            length = int(random.integers(low, high + 1))
            if len(rows) - clean <= length:
                continue
            start = int(random.integers(clean, len(rows) - length))
            touched = rows[start : start + length]
            if label[touched].any():
                continue
            chosen = random.choice(
                len(signals), size=int(random.integers(1, max(len(signals) // 2, 1) + 1)), replace=False
            )
            for column in chosen:
                values[touched, column] = _faulty(values[rows, column], start, length, fault, random)
            label[touched] = 1
    result[signals] = values
    return result.assign(label=label)


def _faulty(series: np.ndarray, start: int, length: int, fault: Fault, random: np.random.Generator) -> np.ndarray:
    part = series[start : start + length].copy()
    size = random.choice([-1.0, 1.0]) * random.uniform(2.0, 6.0)
    if fault is Fault.SPIKE:
        return part + size * _deviation(np.diff(series))
    if fault is Fault.SHIFT:
        return part + size * _deviation(series) / 2.0
    if fault is Fault.DRIFT:
        return part + size * _deviation(series) * np.linspace(0.0, 1.0, length)
    if fault is Fault.NOISE:
        return part + abs(size) * _deviation(np.diff(series)) * random.normal(size=length)
    if fault is Fault.FLATLINE:
        return np.where(np.isfinite(part), part[np.isfinite(part)][:1].sum(), np.nan)
    other = int(random.integers(0, len(series) - length + 1))
    return np.where(np.isfinite(part), series[other : other + length], np.nan)


def _deviation(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return 1.0
    spread = float(np.median(np.abs(known - np.median(known)))) / 0.6745
    return spread or float(known.std()) or 1.0
