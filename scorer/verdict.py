"""What a shadow's sums say: is the challenger better, no worse on any question, and no less calibrated?

A question is a state task, or the forecast at one horizon, as `scorer.questions` names them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from schemas.components import FEWEST_SHADOW_ROWS
from schemas.shadow import Outcome, Role, Settlement, Shadow, Sums, Tally
from trainer.gate import TOLERANCE

_TRIAL_ERRORS = 1.645
"""Standard errors that a promotion must have to spare: one-sided, 95 %."""
_WATCH_ERRORS = 3.0
"""The same of a rollback, which is looked for again and again: 1 in 740 a look."""
_CALIBRATION = 0.05
"""How much further from what it claims to be a challenger's coverage, or its probabilities, may lie."""
_PATIENCE = 4
"""A trial takes so many times its rows at most, where a question has too few answers before that."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Both versions' losses at one question, on the same rows.

    Attributes:
        n: how many rows could be judged.
        champion, challenger: mean losses.
        difference: challenger minus champion, the mean.
        error: its standard error, rows taken as independent: they do not overlap.
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
    """Question -> its losses, where it has enough answers."""
    return {
        name.removesuffix(".loss"): _compared(*found)
        for name, found in sums.items()
        if name.endswith(".loss") and found[0] >= FEWEST_SHADOW_ROWS
    }


def calibration(sums: Sums, claimed: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """`<task>.coverage` and `<task>.ece` -> how far champion and challenger are from what they claim to be.

    Coverage: the mean distance over horizons. ECE: that of probability and frequency over tenths (Naeini et al., 2015).
    """
    found = {}
    for task, share in claimed.items():
        bands = [each for name, each in sums.items() if name.startswith(f"{task}.") and name.endswith(".coverage")]
        judged = np.array([each for each in bands if each[0] >= FEWEST_SHADOW_ROWS])
        if len(judged):
            champion, challenger = np.abs(judged[:, 1:] / judged[:, :1] - share).mean(0).tolist()
            found[f"{task}.coverage"] = champion, challenger
    for name, bins in sums.items():
        task, _, side = name.rpartition(".")
        if side == "champion" and sum(bins[::3]) >= FEWEST_SHADOW_ROWS:
            found[f"{task}.ece"] = _ece(bins), _ece(sums[f"{task}.challenger"])
    return found


def settled(shadow: Shadow, claimed: Mapping[str, float]) -> Settlement | None:
    """How the shadow ends; None: not yet.

    Args:
        shadow: with the sums of all partitions.
        claimed: task -> the share of values that its outer band is to hold.
    """
    if shadow.role is Role.WATCH:
        return _of_watch(shadow)
    if not _tried(shadow):
        return None
    tasks = compared(shadow.tally.sums)
    hindrances = _hindrances(tasks, calibration(shadow.tally.sums, claimed))
    if hindrances:
        return Settlement(Outcome.REFUSED, "; ".join(hindrances))
    return Settlement(Outcome.PROMOTED, _said(tasks, tasks))


def confirmed(watch: Shadow) -> bool:
    """Were versions that followed each other under one watch seen for its rows in all, and are they not worse?"""
    return sum(each.tally.rows for each in (watch, *watch.earlier)) >= watch.rows and not _worse(watch)


def _of_watch(watch: Shadow) -> Settlement | None:
    """Its champion goes for being worse, with those before it or alone; it stays once it had all the rows itself."""
    if worse := _worse(watch):
        return Settlement(Outcome.ROLLED_BACK, f"v{watch.champion} is worse: {worse}")
    own = sum((each.tally for each in (watch, *watch.earlier) if each.champion == watch.champion), Tally())
    tasks = compared(own.sums)
    return Settlement(Outcome.KEPT, _said(tasks, tasks)) if own.rows >= watch.rows else None


def _worse(watch: Shadow) -> str:
    """What it is surely worse at; empty: at nothing.

    From the newest on, backwards: what a version shows must not drown in how good its forerunners were.
    """
    for seen in accumulate(each.tally for each in (watch, *watch.earlier)):
        tasks = compared(seen.sums)
        if worse := [name for name, each in tasks.items() if each.bounds(_WATCH_ERRORS)[1] < -TOLERANCE]:
            return _said(tasks, worse)
    return ""


def _tried(trial: Shadow) -> bool:
    """Has it had its rows, and every question its answers, or all of our patience?"""
    answers = [found[0] for name, found in trial.tally.sums.items() if name.endswith(".loss")]
    enough = min(answers, default=0.0) >= FEWEST_SHADOW_ROWS
    return trial.tally.rows >= trial.rows * (1 if enough else _PATIENCE)


def _hindrances(tasks: Mapping[str, Compared], distances: Mapping[str, tuple[float, float]]) -> list[str]:
    """What is answered alike to the last bit is no hindrance: then the rest, which labels alone tell, made it one."""
    found = [f"may be worse: {_said(tasks, [name])}" for name, each in tasks.items() if each.bounds()[1] > TOLERANCE]
    alike = bool(tasks) and all(each.difference == 0.0 == each.error for each in tasks.values())
    if not alike and not any(each.bounds()[1] < 0.0 for each in tasks.values()):
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
