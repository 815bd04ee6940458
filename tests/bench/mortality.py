"""`python -m tests.bench.mortality`: in-hospital death foreseen from the stream, after a fit on earlier stays.

ICU 2012, set-a. The first 2,800 stays by record number are learned from (a fifth of them chooses the epoch), the other
1,200 are streamed through `backtest --no-learn`. Beside it gradient boosting on the same running statistics of the same
rows, one fit an hour, and the mean of both. Errors and intervals are of a bootstrap over stays.
"""

from argparse import Namespace
from pathlib import Path

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

_AIMS = (0.785, 0.81, 0.84, 0.86)
_LEARNED = 2800
_MONITOR, _TASK = "health", "death"


def main() -> None:
    """Fit, stream, compare, print."""
    measured("python -m tests.bench.mortality", __doc__, _measure, _table)


def _measure(arguments: Namespace, folder: Path) -> Figures:
    split(icu.convert, icu.outcomes, _LEARNED, folder)
    done = streamed(_MONITOR, folder, fitted(_MONITOR, folder, arguments))
    ours = after_hours(done.table.frame(), _TASK)
    learned, judged = (features(_MONITOR, folder / f"{name}.parquet") for name in ("learned", "judged"))
    trees = boosted(learned, judged, answers(folder / "learned.csv", _TASK))
    died = answers(folder / "judged.csv", _TASK)
    found = {f"{hours}h": compared(ours[hours], trees[hours], died) for hours in HOURS}
    return found | {"mase_h1": done.report["tasks"]["forecast"]["raw"]["h1"]["mase_by_signal"]}


def _table(found: Figures) -> Table:
    table = Table(title="In-hospital death, AUROC (standard error), ICU 2012, the last 1,200 stays")
    for name in ("after", "stays", "bellwether", "boosting", "mean of both", "difference, 95 %", "aim"):
        table.add_column(name, justify="right")
    for hours, aim in zip(HOURS, _AIMS, strict=True):
        each = found[f"{hours}h"]
        table.add_row(f"{hours} h", f"{each['stays']:.0f}", *cells(each), f"{aim:g}")
    return table


if __name__ == "__main__":
    main()
