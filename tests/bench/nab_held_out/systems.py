"""The detector and two baselines: what each variant of theirs earns in each file of NAB.

V variants, F files.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from infra.backtest.auto import auto_monitor
from infra.metrics.nab import Profile, Series, raw_score
from tests.bench.alarms import Stream, collect
from tests.bench.nab_held_out.grid import CONSTANTS, SETTINGS, Constants, replaced, settings
from tests.bench.nab_held_out.replay import alarms, judged
from tests.bench.quality.baselines import ewma_z, raised

_EWMA_Z = (5.0, 2.5, 3.0, 3.5, 4.0, 4.5, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0)
_RANDOM = tuple(1.0 - share for share in (1e-3, 1e-2, 3e-3, 3e-4, 1e-4, 3e-5, 0.0))
"""Thresholds, the default first; above the last one no random score lies."""
Alerted = Sequence[NDArray[np.int64]]
"""Of each file the rows alerted."""


@dataclass(frozen=True, slots=True)
class System:
    """Variants by name, the default first, and what they earn by profile, [V, F]."""

    name: str
    variants: Sequence[str]
    raw: Mapping[Profile, NDArray[np.float64]]

    def first(self, count: int) -> "System":
        """Its first variants alone."""
        raw = {profile: raw_VF[:count] for profile, raw_VF in self.raw.items()}
        return System(f"{self.name}, settings alone", self.variants[:count], raw)


def detector(
    files: Sequence[Path], series: Sequence[Series], *, constants: bool, said: Callable[[str], None]
) -> System:
    """All settings, with all constants or only those that are there. Each of the latter is a scoring pass."""
    names, rows = [], []
    for constant, values in CONSTANTS.items() if constants else [next(iter(CONSTANTS.items()))]:
        said(f"scoring {len(files)} files, constants: {constant}")
        for setting, alerted in _decided(files, series, values):
            names.append("; ".join(part for part in (constant * bool(values), setting) if part) or "default")
            rows.append(_earned(alerted, series))
    return System("bellwether", names, _stacked(rows))


def ewma(files: Sequence[Path], series: Sequence[Series]) -> System:
    """An EWMA z-score."""
    scores = [ewma_z(pd.read_csv(file)[["value"]].to_numpy(dtype=np.float64)) for file in files]
    return _plain("ewma z-score", scores, _EWMA_Z, series)


def random(series: Sequence[Series], seed: int) -> System:
    """A random scorer."""
    rng = np.random.default_rng(seed)
    return _plain("random", [rng.random(each.rows) for each in series], _RANDOM, series)


def _decided(files: Sequence[Path], series: Sequence[Series], constants: Constants) -> list[tuple[str, Alerted]]:
    """One scoring pass, and the rows that each setting alerts on."""
    with replaced(constants):
        found = judged(collect(Stream(auto_monitor(["value"]), files, "", 0.0)).batches)
    entities = [found[file.stem] for file in files]
    if [each.rows for each in entities] != [each.rows for each in series]:
        raise ValueError("expected every row of every file in the stream: alerts cannot be placed")
    return [(told, [alarms(each, asked) for each in entities]) for told, asked in settings()]


def _plain(
    name: str, scores: Sequence[NDArray[np.float64]], thresholds: Sequence[float], series: Sequence[Series]
) -> System:
    asked = list(itertools.product(thresholds, SETTINGS["cooldown"], SETTINGS["escalation"]))
    rows = [
        _earned([raised(score, threshold, int(quiet), escalation) for score in scores], series)
        for threshold, quiet, escalation in asked
    ]
    names = [
        f"threshold {threshold:g}, quiet {quiet:g}, escalation {escalation:g}" for threshold, quiet, escalation in asked
    ]
    return System(name, names, _stacked(rows))


def _earned(alerted: Alerted, series: Sequence[Series]) -> dict[Profile, list[float]]:
    return {
        profile: [raw_score(rows, each, profile) for rows, each in zip(alerted, series, strict=True)]
        for profile in Profile
    }


def _stacked(rows: Sequence[Mapping[Profile, list[float]]]) -> dict[Profile, NDArray[np.float64]]:
    return {profile: np.array([each[profile] for each in rows]) for profile in Profile}
