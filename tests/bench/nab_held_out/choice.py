"""The arithmetic of choosing on some files and judging on others. No data set is known here.

V variants, F files, K folds. `raw_VF` is what each variant earns in each file, higher is better; `weight_F` how often
each file counts.
"""

import numpy as np
from numpy.typing import NDArray

_DECIMALS = 9
"""Sums that differ by less are equal, and the earlier variant is chosen: the last bits of a sum must not decide."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def chosen(raw_VF: Floats, fold_F: Ints, weight_F: Floats | None = None) -> Ints:
    """For each file the variant that earns most in the files of all other folds, the first of equals, [F].

    Args:
        raw_VF: what is earned.
        fold_F: the fold of each file, 0 to K - 1; of at least two.
        weight_F: 1 each if None.
    """
    weighed_VF = raw_VF if weight_F is None else raw_VF * weight_F
    folds = int(fold_F.max()) + 1
    if folds < 2:
        raise ValueError("expected at least two folds, got one: there is nothing else to choose on")
    own_VK = weighed_VF @ np.eye(folds)[fold_F]
    others_VK = np.round(own_VK.sum(axis=1, keepdims=True) - own_VK, _DECIMALS)
    best_F: Ints = others_VK.argmax(axis=0)[fold_F]
    return best_F


def earned(raw_VF: Floats, chosen_F: Ints) -> Floats:
    """What each file brings under the variant chosen for it, [F]."""
    earned_F: Floats = raw_VF[chosen_F, np.arange(len(chosen_F))]
    return earned_F


def halves(files: int) -> Ints:
    """Every other file, [F]."""
    return np.arange(files) % 2


def draws(part_F: Ints, times: int, seed: int) -> Floats:
    """How often each file counts in each bootstrap draw of as many files from each part, [times, F]."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros((times, len(part_F)))
    for part in np.unique(part_F):
        files = np.flatnonzero(part_F == part)
        drawn[:, files] = rng.multinomial(len(files), np.full(len(files), 1.0 / len(files)), size=times)
    return drawn
