"""`python -m tests.bench.one_signal`: faults that a person sees at once, in made-up series of one signal.

Five kinds of series, each with faults of four kinds and without: how many does an alert at the defaults meet, and how
many alerts meet none? `bellwether backtest --auto --no-learn`, beside an EWMA z-score at the threshold that raises as
many false ones.
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

_ROWS, _EARLIEST, _LATEST = 1_500, 700, 1_400
_DAY = 288
_AFTER = 10
"""Rows after a fault in which an alert still meets it."""
Series = NDArray[np.float64]


def _sine(rng: np.random.Generator) -> tuple[Series, float]:
    swing = np.sin(2 * np.pi * np.arange(_ROWS) / rng.integers(20, 200)) * rng.uniform(0.5, 3.0)
    return swing + rng.normal(0.0, 0.2, _ROWS), 0.2


def _walk(rng: np.random.Generator) -> tuple[Series, float]:
    return np.cumsum(rng.normal(size=_ROWS)), 1.0


def _autoregressive(rng: np.random.Generator) -> tuple[Series, float]:
    value, noise = np.zeros(_ROWS), rng.normal(size=_ROWS)
    for row in range(1, _ROWS):
        value[row] = 0.9 * value[row - 1] + noise[row]
    return value, 1.0


def _daily(rng: np.random.Generator) -> tuple[Series, float]:
    hour = np.arange(_ROWS) % _DAY
    return 10.0 + 5.0 * np.exp(-(((hour - 140) / 40.0) ** 2)) + 0.5 * rng.standard_t(4, _ROWS), 0.7


def _counts(rng: np.random.Generator) -> tuple[Series, float]:
    rate = 20.0 * (1.0 + 0.5 * np.sin(2 * np.pi * np.arange(_ROWS) / _DAY))
    return rng.poisson(rate).astype(np.float64), 4.5


KINDS: dict[str, Callable[[np.random.Generator], tuple[Series, float]]] = {
    "sine": _sine,
    "random walk": _walk,
    "autoregressive": _autoregressive,
    "daily": _daily,
    "counts": _counts,
}
FAULTS = {"spike": 1, "shift": 60, "burst": 30, "flatline": 60, "none": 0}
"""Kind -> rows that it lasts."""


def made(seed: int, each: int) -> pd.DataFrame:
    """Every kind with every fault so many times: entity, time, value, label, fault."""
    rng, parts = np.random.default_rng(seed), []
    for number in range(each):
        for kind, series in KINDS.items():
            for fault, rows in FAULTS.items():
                value, noise = series(rng)
                at = int(rng.integers(_EARLIEST, _LATEST))
                _break(value, fault, slice(at, at + rows), noise, rng)
                label = np.isin(np.arange(_ROWS), np.arange(at, at + rows)).astype(int)
                time = pd.date_range("2026-01-01", periods=_ROWS, freq="5min", tz="UTC")
                told = {"entity": f"{kind} {fault} {number}", "time": time, "value": value, "label": label}
                parts.append(pd.DataFrame(told | {"fault": fault}))
    return pd.concat(parts, ignore_index=True)


def _break(value: Series, fault: str, rows: slice, noise: float, rng: np.random.Generator) -> None:
    """8 to 15 standard deviations of the noise; half as much for a shift, 4 for a burst."""
    size = rng.uniform(8.0, 15.0) * noise
    if fault == "spike":
        value[rows] += size
    elif fault == "shift":
        value[rows] += size / 2.0
    elif fault == "burst":
        value[rows] += rng.normal(0.0, 4.0 * noise, rows.stop - rows.start)
    elif fault == "flatline":
        value[rows] = value[rows.start]


def met(series: pd.DataFrame, alert: NDArray[np.bool_]) -> tuple[dict[str, int], int]:
    """Of each kind of fault how many an alert meets, and how many alerts meet none."""
    found, false = dict.fromkeys(FAULTS, 0), 0
    for _, rows in series.groupby("entity", sort=False):
        label, here = rows["label"].to_numpy(), alert[rows.index]
        near = np.convolve(label, np.ones(_AFTER + 1), mode="full")[: len(label)] > 0
        found[rows["fault"].iloc[0]] += bool(here[near].any())
        false += int(here[~near].sum())
    return {fault: count for fault, count in found.items() if fault != "none"}, false


def _ewma(series: pd.DataFrame, false: int) -> tuple[dict[str, int], int, float]:
    """At the lowest threshold that raises no more false alerts."""
    scores = [ewma_z(rows[["value"]].to_numpy()) for _, rows in series.groupby("entity", sort=False)]
    score = np.concatenate([np.ravel(each) for each in scores])
    for threshold in np.arange(2.0, 40.0, 0.25):
        found, raised = met(series, score > threshold)
        if raised <= false:
            break
    return found, raised, float(threshold)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.one_signal", description=__doc__)
    parser.add_argument("--seed", type=int, default=5, help="77 is what the detector was tuned on")
    parser.add_argument("--each", type=int, default=5, help="series of every kind with every fault")
    asked = parser.parse_args()
    configure(verbose=False)
    series = made(asked.seed, asked.each)
    with tempfile.TemporaryDirectory(prefix="bellwether-one-") as folder:
        path = Path(folder) / "series.csv"
        series.drop(columns="fault").to_csv(path, index=False)
        table = backtest(Options(None, (path,), learn=False)).table
    found, false = met(series, np.asarray(table.alert, dtype=np.bool_))
    beside, raised, threshold = _ewma(series, false)
    shown = Table(title=f"{asked.each * len(KINDS)} faults of each kind, {len(series):,} rows")
    for column in ("", *found, "false alerts"):
        shown.add_column(column, justify="left" if not column else "right")
    shown.add_row("bellwether", *map(str, found.values()), str(false))
    shown.add_row(f"EWMA z-score > {threshold:g}", *map(str, beside.values()), str(raised))
    console().print(shown)


if __name__ == "__main__":
    main()
