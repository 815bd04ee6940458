"""`python -m tests.bench.young`: faults in cohorts of young entities, all of which begin at once.

Made-up series of 1, 4 and 12 signals, 60 and 120 rows long, in cohorts of 40; every fourth has a fault of seven rows
in up to three signals, 8 standard deviations of their changes. How many does an alert at the defaults meet, and how
many alerts meet none? `bellwether backtest --auto --no-learn`, beside an EWMA z-score at the threshold that raises no
more false ones.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.table import Table

from infra.backtest.options import Options
from infra.backtest.run import backtest
from infra.logs import configure
from infra.terminal import console
from tests.bench.quality.baselines import ewma_z

_ENTITIES, _FAULTY = 40, 4
_SIGNALS, _ROWS = (1, 4, 12), (60, 120)
_SIZE, _LASTS, _IN = 8.0, 7, 3
_MINUTES = 30
_EARLIEST = 10
"""Row from which the baseline may alert."""
Rng = np.random.Generator
Series = NDArray[np.float64]


def _autoregressive(rng: Rng, rows: int) -> Series:
    value = rng.normal(size=rows)
    for row in range(1, rows):
        value[row] += 0.9 * value[row - 1]
    return value


KINDS: dict[str, Callable[[Rng, int], Series]] = {
    "normal": lambda rng, rows: rng.normal(size=rows),
    "t of 4": lambda rng, rows: rng.standard_t(4, rows),
    "log-normal": lambda rng, rows: rng.lognormal(0.0, 0.6, rows),
    "counts": lambda rng, rows: rng.poisson(5.0, rows).astype(np.float64),
    "autoregressive": _autoregressive,
    "random walk": lambda rng, rows: np.cumsum(rng.normal(size=rows)),
}


def cohort(kind: str, signals: int, rows: int, rng: Rng) -> pd.DataFrame:
    """Entity, time, signals, label."""
    parts = []
    for entity in range(_ENTITIES):
        values = np.stack([KINDS[kind](rng, rows) for _ in range(signals)], axis=1)
        label = np.zeros(rows, dtype=int)
        if entity % _FAULTY == 0:
            fault, broken = slice(rows * 3 // 4, rows * 3 // 4 + _LASTS), min(_IN, signals)
            values[fault, :broken] += _SIZE * np.diff(values[:, :broken], axis=0).std(axis=0) / np.sqrt(2.0)
            label[fault] = 1
        time = pd.date_range("2026-01-01", periods=rows, freq=f"{_MINUTES}min", tz="UTC")
        told = {"entity": f"e{entity}", "time": time} | {f"s{each}": values[:, each] for each in range(signals)}
        parts.append(pd.DataFrame(told | {"label": label}))
    return pd.concat(parts, ignore_index=True)


def met(series: pd.DataFrame, alert: NDArray[np.bool_]) -> tuple[int, int]:
    """Faults that an alert meets, and alerts that meet none."""
    label = series["label"].to_numpy() > 0
    return int(series["entity"][alert & label].nunique()), int((alert & ~label).sum())


def _ewma(series: pd.DataFrame, false: int) -> tuple[int, int]:
    """At the lowest threshold that raises no more false alerts; each run of rows above it is one."""
    signals = [name for name in series if str(name).startswith("s")]
    scores = [ewma_z(rows[signals].to_numpy()) for _, rows in series.groupby("entity", sort=False)]
    score, young = np.concatenate(scores), series.groupby("entity").cumcount().to_numpy() < _EARLIEST
    found, raised = 0, 0
    for threshold in np.arange(2.0, 80.0, 0.25):
        above = (score > threshold) & ~young
        found, raised = met(series, above & ~np.append(False, above[:-1]))
        if raised <= false:
            break
    return found, raised


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=6)
    asked = parser.parse_args()
    configure(verbose=False)
    shown = Table(title=f"of {_ENTITIES // _FAULTY * len(KINDS)} faults each, met (false alerts)")
    for column in ("signals", "rows of each entity", "bellwether", "EWMA z-score"):
        shown.add_column(column, justify="right")
    for signals in _SIGNALS:
        for rows in _ROWS:
            rng, ours, beside = np.random.default_rng(asked.seed), np.zeros(2, dtype=int), np.zeros(2, dtype=int)
            for kind in KINDS:
                series = cohort(kind, signals, rows, rng)
                with tempfile.TemporaryDirectory(prefix="bellwether-young-") as folder:
                    path = Path(folder) / "cohort.parquet"
                    series.to_parquet(path)
                    table = backtest(Options(None, (path,), learn=False)).table
                found, false = met(series, np.asarray(table.alert, dtype=np.bool_))
                ours += found, false
                beside += _ewma(series, false)
            shown.add_row(f"{signals}", f"{rows}", *(f"{found} ({false})" for found, false in (ours, beside)))
    console().print(shown)


if __name__ == "__main__":
    main()
