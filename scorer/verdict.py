"""What a shadow's sums say: is the challenger better, no worse on any task, and no less calibrated?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.components import FEWEST_SHADOW_ROWS
from schemas.shadow import Outcome, Role, Settlement, Shadow, Sums
from trainer.gate import TOLERANCE

_TRIAL_ERRORS = 1.645
"""Standard errors that a promotion must have to spare: one-sided, 95 %."""
_WATCH_ERRORS = 3.0
"""The same of a rollback, which is looked for again and again: 1 in 740 a look."""
_CALIBRATION = 0.05
"""How much further from what it claims to be a challenger's coverage, or its probabilities, may lie."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One task's losses on the same rows.

    Attributes:
        n: how many rows could be judged.
        champion, challenger: mean losses.
        difference: challenger minus champion, the mean.
        error: its standard error, rows taken as independent.
    """

    n: int
    champion: float
    challenger: float
    difference: float
    error: float

    def bounds(self, errors: float = _TRIAL_ERRORS) -> tuple[float, float]:
        """So many standard errors to both sides."""
        return self.difference - errors * self.error, self.difference + errors * self.error


def compared(sums: Sums) -> dict[str, Compared]:
    """Task -> its losses."""
    return {
        name.removesuffix(".loss"): _compared(*found)
        for name, found in sums.items()
        if name.endswith(".loss") and found[0] >= FEWEST_SHADOW_ROWS
    }


def calibration(sums: Sums, claimed: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """`<task>.coverage` and `<task>.ece` -> how far champion and challenger are from what they claim to be.

    ECE is the mean distance of probability and frequency over tenths (Naeini et al., 2015).
    """
    found = {}
    for task, share in claimed.items():
        n, champion, challenger = sums.get(f"{task}.coverage", (0.0, 0.0, 0.0))
        if n >= FEWEST_SHADOW_ROWS:
            found[f"{task}.coverage"] = abs(champion / n - share), abs(challenger / n - share)
    for name, bins in sums.items():
        task, _, side = name.rpartition(".")
        if side == "champion" and sum(bins[::3]) >= FEWEST_SHADOW_ROWS:
            found[f"{task}.ece"] = _ece(bins), _ece(sums[f"{task}.challenger"])
    return found


def settled(shadow: Shadow, claimed: Mapping[str, float]) -> Settlement | None:
    """How the shadow ends; None: not yet.

    Args:
        shadow: with the sums of all partitions.
        claimed: task -> the share of rows that its outer band is to hold.
    """
    tasks, done = compared(shadow.tally.sums), shadow.tally.rows >= shadow.rows
    if shadow.role is Role.WATCH:
        worse = [name for name, each in tasks.items() if each.bounds(_WATCH_ERRORS)[1] < -TOLERANCE]
        if worse:
            return Settlement(Outcome.ROLLED_BACK, f"v{shadow.champion} is worse: {_said(tasks, worse)}")
        return Settlement(Outcome.KEPT, _said(tasks, tasks)) if done else None
    if not done:
        return None
    hindrances = _hindrances(tasks, calibration(shadow.tally.sums, claimed))
    if hindrances:
        return Settlement(Outcome.REFUSED, "; ".join(hindrances))
    return Settlement(Outcome.PROMOTED, _said(tasks, tasks))


def _hindrances(tasks: Mapping[str, Compared], distances: Mapping[str, tuple[float, float]]) -> list[str]:
    found = [f"may be worse: {_said(tasks, [name])}" for name, each in tasks.items() if each.bounds()[1] > TOLERANCE]
    if not any(each.bounds()[1] < 0.0 for each in tasks.values()):
        found.append(f"better on no task: {_said(tasks, tasks)}")
    found += [
        f"{name} is off by {challenger:.3f}, the champion's by {champion:.3f}"
        for name, (champion, challenger) in distances.items()
        if challenger > champion + _CALIBRATION
    ]
    return found


def _said(tasks: Mapping[str, Compared], names: Mapping[str, Compared] | list[str]) -> str:
    told = [f"{name} {tasks[name].challenger:.4f} against {tasks[name].champion:.4f}" for name in names]
    return ", ".join(told) or "nothing could be judged"


def _compared(n: float, champion: float, challenger: float, squares: float) -> Compared:
    difference = (challenger - champion) / n
    variance = max(squares / n - difference**2, 0.0) * n / (n - 1)
    return Compared(int(n), champion / n, challenger / n, difference, math.sqrt(variance / n))


def _ece(bins: tuple[float, ...]) -> float:
    triples = list(zip(bins[::3], bins[1::3], bins[2::3], strict=True))
    return sum(abs(claimed - came) for _, claimed, came in triples) / sum(n for n, _, _ in triples)
