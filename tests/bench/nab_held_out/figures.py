"""What is reported of one system: its default, the best in hindsight and the median, and the choice made elsewhere.

V variants, F files, D bootstrap draws.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from infra.metrics.nab import Profile, normalised
from tests.bench.nab_held_out.choice import chosen, earned, halves
from tests.bench.nab_held_out.systems import System

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_HALVES = ("even", "odd")


def figures(system: System, windows_F: Ints, folds: Mapping[str, Ints], profile: Profile, weight_F: Floats) -> Floats:
    """One number for each of `names(folds)`, where each file counts as often as `weight_F` says."""
    raw_VF = system.raw[profile]
    every, parts = np.ones(len(windows_F)), halves(len(windows_F))

    def of(earned_F: Floats, judged_F: Floats) -> float:
        counted_F = weight_F * judged_F
        return normalised(float(earned_F @ counted_F), float(windows_F @ counted_F), profile)

    best = int((raw_VF @ weight_F).argmax())
    median = float(np.median(raw_VF @ weight_F))
    found = [of(raw_VF[0], every), of(raw_VF[best], every), normalised(median, float(windows_F @ weight_F), profile)]
    found += [of(earned(raw_VF, chosen(raw_VF, fold_F, weight_F)), every) for fold_F in folds.values()]
    on_other_half_F = earned(raw_VF, chosen(raw_VF, parts, weight_F))
    for half in range(len(_HALVES)):
        found += [of(raw_VF[0], parts == half), of(on_other_half_F, parts == half)]
    return np.array(found)


def names(folds: Mapping[str, Ints]) -> list[str]:
    """What `figures` holds."""
    by_half = [f"{half} files, {what}" for half in _HALVES for what in ("default", "chosen on the others")]
    return ["default", "best in hindsight", "median of the grid", *folds, *by_half]


def with_spread(
    system: System, windows_F: Ints, folds: Mapping[str, Ints], profile: Profile, draws_DF: Floats
) -> tuple[Floats, Floats]:
    """The figures, and their deviations over draws of files."""
    found = figures(system, windows_F, folds, profile, np.ones(len(windows_F)))
    drawn = [figures(system, windows_F, folds, profile, weight_F) for weight_F in draws_DF]
    return found, np.std(drawn, axis=0, ddof=1)


def better_in_both(
    system: System, windows_F: Ints, profile: Profile, draws_DF: Floats
) -> Iterator[tuple[str, Sequence[float], float]]:
    """Variants that beat the default on both halves, the one with the larger smaller gain first.

    Name, gain by half, and the deviation of the gain on all files over draws of them.
    """
    gain_VF, parts = system.raw[profile] - system.raw[profile][0], halves(len(windows_F))
    scale = normalised(1.0, 1.0, profile) - normalised(0.0, 1.0, profile)
    gain_VH = np.stack([gain_VF[:, parts == half].sum(axis=1) / windows_F[parts == half].sum() for half in (0, 1)], 1)
    for variant in np.argsort(-gain_VH.min(axis=1), kind="stable"):
        if gain_VH[variant].min() <= 0:
            return
        drawn_D = scale * (draws_DF @ gain_VF[variant]) / (draws_DF @ windows_F)
        yield system.variants[variant], (scale * gain_VH[variant]).tolist(), float(np.std(drawn_D, ddof=1))
