"""`python -m tests.bench.mortality`: in-hospital death foreseen from the stream, after a fit on earlier stays.

ICU 2012, set-a. The first 2,800 stays by record number are learned from (a fifth of them chooses the epoch), the other
1,200 are streamed through `backtest --no-learn`; with `--folds N` instead every stay is judged once, by a fit on the
others. Beside it gradient boosting on the same running statistics of the same rows, one fit an hour, and the mean of
both. Errors and intervals are of a bootstrap over stays.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import pandas as pd

from tests.bench.quality.table import Measured
from tests.bench.stays import (
    HOURS,
    Asked,
    Probabilities,
    after_hours,
    answers,
    boosted,
    command_line,
    compared,
    features,
    fitted,
    split,
    streamed,
)
from tests.converters import icu

_LEARNED = 0.7
_FOLDS = 3
_QUICK = Asked(folds=_FOLDS, passes=1, stays=90)
_MONITOR, _TASK = "health", "death"
Judged = tuple[Probabilities, Probabilities, pd.Series, dict[str, float]]
"""The network's probabilities and the trees', who died, and the one-step MASE of each vital sign."""


def main() -> None:
    """Fit, stream, compare, print."""
    command_line("python -m tests.bench.mortality", __doc__, _measure, folds=True)


def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured:
    """`mortality.<hours>.<metric>` over all stays, each judged once, and `mortality.mase.<signal>` one step ahead."""
    return _measure(_QUICK if quick else Asked(folds=_FOLDS), shared, folder)


def _measure(asked: Asked, shared: Path, folder: Path) -> Measured:
    if asked.folds is not None and (asked.folds < 2 or asked.model is not None):
        raise SystemExit("--folds: expected 2 or more, and no --model, which may have learned what it is judged on")
    if asked.folds is None:
        parts = [_judged(asked, lambda place: place < _LEARNED * asked.stays, shared, folder)]
    else:
        parts = [
            _judged(asked, lambda place, fold=fold: place % asked.folds != fold, shared, folder / f"{fold}")
            for fold in range(asked.folds)
        ]
    died = pd.concat([part[2] for part in parts])
    found = Measured({f"mortality.mase.{name}": mase for name, mase in _vitals([part[3] for part in parts]).items()})
    for hours in HOURS:
        found |= compared(f"mortality.{hours}h", *(_whole(parts, way, hours) for way in (0, 1)), died)
    return found


def _vitals(parts: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """Of each signal that every part could judge."""
    judged = {signal: [part.get(signal) for part in parts] for signal in parts[0]}
    means = {name: fmean(map(float, found)) for name, found in judged.items() if None not in found}
    return {name: {"bellwether": mean, "persistence": 1.0} for name, mean in means.items()}


def _judged(asked: Asked, learned: Callable[[int], bool], shared: Path, folder: Path) -> Judged:
    folder.mkdir(parents=True, exist_ok=True)
    split(icu.convert(shared, folder, asked.stays), icu.outcomes, learned, shared, folder)
    done = streamed(_MONITOR, folder, fitted(_MONITOR, folder, asked))
    earlier, later = (features(_MONITOR, folder / f"{name}.parquet") for name in ("learned", "judged"))
    trees = boosted(earlier, later, answers(folder / "learned.csv", _TASK))
    mase = done.report["tasks"]["forecast"]["raw"]["h1"]["mase_by_signal"]
    return after_hours(done.table.frame(), _TASK), trees, answers(folder / "judged.csv", _TASK), mase


def _whole(parts: Sequence[Judged], way: int, hours: int) -> pd.Series:
    return pd.concat([(part[0], part[1])[way][hours] for part in parts])


if __name__ == "__main__":
    main()
