"""`python -m tests.bench.mortality`: in-hospital death foreseen from the stream, after a fit on earlier stays.

ICU 2012, set-a. The first 2,800 stays by record number are learned from (a fifth of them chooses the epoch), the other
1,200 are streamed through `backtest --no-learn`; with `--folds N` instead every stay is judged once, by a fit on the
others. Beside it gradient boosting on the same running statistics of the same rows, one fit an hour, and the mean of
both. Errors and intervals are of a bootstrap over stays.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import pandas as pd
from rich.table import Table

from tests.bench.stays import (
    HOURS,
    Figures,
    Probabilities,
    after_hours,
    answers,
    boosted,
    cells,
    compared,
    features,
    fitted,
    measured,
    split,
    streamed,
)
from tests.converters import icu

_AIMS = (0.785, 0.81, 0.84, 0.86)
_LEARNED = 2800
_MONITOR, _TASK = "health", "death"
Judged = tuple[Probabilities, Probabilities, pd.Series, dict[str, float]]
"""The network's probabilities and the trees', who died, and the one-step MASE of each vital sign."""


def main() -> None:
    """Fit, stream, compare, print."""
    measured("python -m tests.bench.mortality", __doc__, _measure, _table, folds=True)


def _measure(arguments: Namespace, folder: Path) -> Figures:
    if arguments.folds is not None and (arguments.folds < 2 or arguments.model is not None):
        raise SystemExit("--folds: expected 2 or more, and no --model, which may have learned what it is judged on")
    if arguments.folds is None:
        parts = [_judged(arguments, folder, lambda place: place < _LEARNED)]
    else:
        parts = [
            _judged(arguments, folder / f"{fold}", lambda place, fold=fold: place % arguments.folds != fold)
            for fold in range(arguments.folds)
        ]
    died = pd.concat([part[2] for part in parts])
    found = {f"{hours}h": compared(*(_whole(parts, way, hours) for way in (0, 1)), died) for hours in HOURS}
    return found | {"mase_h1": _means([part[3] for part in parts])}


def _means(parts: Sequence[Mapping[str, float | None]]) -> dict[str, float]:
    """Of each signal that every part could judge."""
    judged = {signal: [part.get(signal) for part in parts] for signal in parts[0]}
    return {name: fmean(map(float, found)) for name, found in judged.items() if None not in found}


def _judged(arguments: Namespace, folder: Path, learned: Callable[[int], bool]) -> Judged:
    folder.mkdir(parents=True, exist_ok=True)
    split(icu.convert, icu.outcomes, learned, folder)
    done = streamed(_MONITOR, folder, fitted(_MONITOR, folder, arguments))
    earlier, later = (features(_MONITOR, folder / f"{name}.parquet") for name in ("learned", "judged"))
    trees = boosted(earlier, later, answers(folder / "learned.csv", _TASK))
    mase = done.report["tasks"]["forecast"]["raw"]["h1"]["mase_by_signal"]
    return after_hours(done.table.frame(), _TASK), trees, answers(folder / "judged.csv", _TASK), mase


def _whole(parts: Sequence[Judged], way: int, hours: int) -> pd.Series:
    return pd.concat([(part[0], part[1])[way][hours] for part in parts])


def _table(found: Figures) -> Table:
    table = Table(title="In-hospital death, AUROC (standard error), ICU 2012")
    for name in ("after", "stays", "bellwether", "boosting", "mean of both", "difference, 95 %", "aim", "min(Se, +P)"):
        table.add_column(name, justify="right")
    for hours, aim in zip(HOURS, _AIMS, strict=True):
        each = found[f"{hours}h"]
        event1 = f"{each['event1']:.3f} / {each['boosting_event1']:.3f}"
        table.add_row(f"{hours} h", f"{each['stays']:.0f}", *cells(each), f"{aim:g}", event1)
    return table


if __name__ == "__main__":
    main()
