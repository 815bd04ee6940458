"""`python -m tests.bench.four_outcomes`: four outcomes of a stay foretold from the stream by one network.

ICU 2012, set-a: death in hospital; a stay under three days; cardiac surgery and surgical unit by the unit's type, which
is no signal here. The first 2,800 stays by record number are learned from, 400 choose the epoch, the last 800 are
streamed through `backtest --no-learn`. Beside it gradient boosting on the same running statistics, one fit a task and
hour. Errors and intervals are of a bootstrap over stays.
"""

from importlib import resources
from pathlib import Path
from statistics import fmean

import pandas as pd
import yaml

from tests.bench.quality.table import Measured
from tests.bench.stays import (
    HOURS,
    Asked,
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

_LEARNED, _CHOOSE = 0.8, 0.125
"""Of the stays; of those that are learned from."""
_QUICK = Asked(passes=1, stays=200)


def main() -> None:
    """Fit, stream, compare, print."""
    command_line("python -m tests.bench.four_outcomes", __doc__, _measure)


def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured:
    """`four_outcomes.<task>_<hours>.<metric>` on the last stays, and `four_outcomes.mean_<hours>.auroc`."""
    return _measure(_QUICK if quick else Asked(), shared, folder)


def _measure(asked: Asked, shared: Path, folder: Path) -> Measured:
    file = icu.convert(shared, folder, asked.stays)
    pd.read_parquet(file).drop(columns=icu.UNIT).to_parquet(file, index=False)
    split(file, icu.four_outcomes, lambda place: place < _LEARNED * asked.stays, shared, folder)
    monitor = str(_monitor(folder))
    scores = streamed(monitor, folder, fitted(monitor, folder, asked)).table.frame()
    learned, judged = (features(monitor, folder / f"{name}.parquet") for name in ("learned", "judged"))
    found = Measured({})
    for task in icu.FOUR:
        ours, trees = after_hours(scores, task), boosted(learned, judged, answers(folder / "learned.csv", task))
        truth = answers(folder / "judged.csv", task)
        for hours in HOURS:
            found |= compared(f"four_outcomes.{task}_{hours}h", ours[hours], trees[hours], truth)
    for hours in HOURS:
        each = [found.figures[f"four_outcomes.{task}_{hours}h.auroc"] for task in icu.FOUR]
        means = {system: fmean(one[system] for one in each) for system in each[0]}
        found |= Measured({f"four_outcomes.mean_{hours}h.auroc": means})
    return found


def _monitor(folder: Path) -> Path:
    """The health monitor without the unit's type."""
    settings = yaml.safe_load((resources.files("infra") / "monitors" / "health.yaml").read_text())
    for modality in settings["modalities"]:
        modality["signals"] = [signal for signal in modality["signals"] if signal["name"] != icu.UNIT]
    settings["fitting"]["validation"] = _CHOOSE
    path = folder / "stays.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path


if __name__ == "__main__":
    main()
