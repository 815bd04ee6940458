"""`python -m tests.bench.four_outcomes`: four outcomes of a stay foretold from the stream by one network.

ICU 2012, set-a: death in hospital; a stay under three days; cardiac surgery and surgical unit by the unit's type, which
is no signal here. The first 2,800 stays by record number are learned from, 400 choose the epoch, the last 800 are
streamed through `backtest --no-learn`. Beside it gradient boosting on the same running statistics, one fit a task and
hour. Errors and intervals are of a bootstrap over stays.
"""

from argparse import Namespace
from importlib import resources
from pathlib import Path
from statistics import fmean

import pandas as pd
import yaml
from rich.table import Table

from tests.bench.stays import (
    HOURS,
    Figures,
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

_AIM = 0.92
"""Mean over the tasks, after 48 hours."""
_LEARNED, _CHOOSE = 3200, 400


def main() -> None:
    """Fit, stream, compare, print."""
    measured("python -m tests.bench.four_outcomes", __doc__, _measure, _table)


def _measure(arguments: Namespace, folder: Path) -> Figures:
    split(_without_unit, icu.four_outcomes, lambda place: place < _LEARNED, folder)
    monitor = str(_monitor(folder))
    scores = streamed(monitor, folder, fitted(monitor, folder, arguments)).table.frame()
    learned, judged = (features(monitor, folder / f"{name}.parquet") for name in ("learned", "judged"))
    found = {}
    for task in icu.FOUR:
        ours, trees = after_hours(scores, task), boosted(learned, judged, answers(folder / "learned.csv", task))
        truth = answers(folder / "judged.csv", task)
        found |= {f"{task}_{hours}h": compared(ours[hours], trees[hours], truth) for hours in HOURS}
    for hours in HOURS:
        each = [found[f"{task}_{hours}h"] for task in icu.FOUR]
        found[f"mean_{hours}h"] = {way: fmean(one[way] for one in each) for way in ("network", "boosting", "mean")}
    return found


def _without_unit(shared: Path, folder: Path) -> Path:
    file = icu.convert(shared, folder)
    pd.read_parquet(file).drop(columns=icu.UNIT).to_parquet(file, index=False)
    return file


def _monitor(folder: Path) -> Path:
    """The health monitor without the unit's type."""
    settings = yaml.safe_load((resources.files("infra") / "monitors" / "health.yaml").read_text())
    for modality in settings["modalities"]:
        modality["signals"] = [signal for signal in modality["signals"] if signal["name"] != icu.UNIT]
    settings["fitting"]["validation"] = _CHOOSE / _LEARNED
    path = folder / "stays.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path


def _table(found: Figures) -> Table:
    table = Table(title=f"Four outcomes, AUROC (standard error), ICU 2012, the last 800 stays; aim {_AIM:g} after 48 h")
    for name in ("task", "after", "yes", "bellwether", "boosting", "mean of both", "difference, 95 %"):
        table.add_column(name, justify="right")
    for task in icu.FOUR:
        for hours in HOURS:
            each = found[f"{task}_{hours}h"]
            table.add_row(task, f"{hours} h", f"{each['yes']:.0f} of {each['stays']:.0f}", *cells(each))
    for hours in HOURS:
        means = (f"{found[f'mean_{hours}h'][way]:.3f}" for way in ("network", "boosting", "mean"))
        table.add_row("mean", f"{hours} h", "", *means)
    return table


if __name__ == "__main__":
    main()
