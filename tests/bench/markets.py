"""`python -m tests.bench.markets`: what is said of markets, beside what simple rules say in the same run.

Prequential from the first row; judged on the later half of each instrument's rows. Forecast: one step ahead, mean
absolute error over persistence's, of the logarithm. Tail: will the worst return of the next five bars be below -2
standard deviations (of all returns so far)? AUROC of the probability that the regime leaves its first class; beside it
the moving average (20 bars) of the range, or of |return| where there is none, over that deviation.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from infra.backtest.options import Options
from infra.backtest.run import backtest
from infra.logs import configure
from infra.metrics.anomaly import auroc
from infra.terminal import console
from tests.bench.quality.aim import OURS
from tests.bench.quality.table import Figures, Measured, pooled, show
from tests.bench.shared import shared_data
from tests.converters import world
from tests.converters.markets import convert_intraday

INTRADAY = Path(__file__).parents[1] / "examples" / "intraday.yaml"
_SIGNALS = ("close", "range_percent", "volume")
_AHEAD, _DEVIATIONS, _SPAN = 5, 2.0, 20
_LAGS = 5
_RIDGE = 1e-3
_WARM_UP = 60
_TRIED_FROM = 250
_QUICK_ROWS = 900


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.markets", description=__doc__)
    parser.add_argument("--part", choices=("daily", "intraday"), help="one alone")
    parser.add_argument("--daily", default="finance", help="the monitor of daily bars")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--early", action="store_true", help="judge the first half after 250 rows: to try things out")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    configure(verbose=False)
    torch.set_num_threads(1)
    parts = {"daily": partial(daily, monitor=arguments.daily), "intraday": intraday}
    found = Measured({})
    for name in [arguments.part] if arguments.part else parts:
        with tempfile.TemporaryDirectory(prefix="bellwether-markets-") as folder:
            seeds = range(arguments.seeds)
            found |= pooled([parts[name](shared_data(), Path(folder), seed, early=arguments.early) for seed in seeds])
    show(console(stderr=arguments.json), found)
    if arguments.json:
        print(json.dumps({**found.figures, "spread": found.spread}))


def daily(
    shared: Path, folder: Path, seed: int, *, quick: bool = False, monitor: str = "finance", early: bool = False
) -> Measured:
    """`markets_daily.<instrument>.<metric>`, with and without what was known of the world."""
    figures: Figures = {}
    for system in (OURS, "without macro"):
        files = _cut(world.convert(shared, folder, macro=system == OURS), quick)
        for metric, systems in _judged(monitor, files, seed, system, early=early).items():
            figures.setdefault(f"markets_daily.{metric}", {}).update(systems)
    return Measured(figures)


def intraday(shared: Path, folder: Path, seed: int, *, quick: bool = False, early: bool = False) -> Measured:
    """`markets_intraday.<pair>.<metric>` of 5-minute bars."""
    files = _cut([file for file in convert_intraday(shared, folder) if file.stem.endswith("-5m")], quick)
    figures = _judged(str(INTRADAY), files, seed, OURS, early=early)
    return Measured({f"markets_intraday.{metric}": systems for metric, systems in figures.items()})


def _cut(files: list[Path], quick: bool) -> list[Path]:
    for file in files if quick else ():
        pd.read_csv(file)[:_QUICK_ROWS].to_csv(file, index=False)
    return files


def _judged(monitor: str, files: Sequence[Path], seed: int, system: str, *, early: bool) -> Figures:
    """Figures of one run, by instrument."""
    scores = backtest(Options(monitor, tuple(files), seed=seed)).table.frame()
    rows = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    figures: Figures = {}
    for entity, places in rows.groupby("entity").indices.items():
        judged = np.zeros(len(places), dtype=bool)
        judged[slice(_TRIED_FROM, len(places) // 2) if early else slice(len(places) // 2, None)] = True
        bars, said = rows.iloc[places].reset_index(drop=True), scores.iloc[places].reset_index(drop=True)
        found = _forecasts(bars, said, judged, system) | _tail(bars, said, judged, system)
        figures |= {f"{entity}.{metric}": systems for metric, systems in found.items()}
    return figures


def _forecasts(bars: pd.DataFrame, said: pd.DataFrame, judged: np.ndarray, system: str) -> Figures:
    figures: Figures = {}
    for signal in _SIGNALS:
        if signal not in bars or bars[signal].notna().sum() < _WARM_UP:
            continue
        value = np.log(bars[signal].ffill())
        came = np.log(bars[signal]).shift(-1)
        rivals = {
            system: np.log(said[f"forecast.{signal}.h1.q0.5"]),
            "average": value.ewm(span=_SPAN).mean(),
            "regression": pd.Series(regression(value.to_numpy())),
        }
        ok = judged & came.notna().to_numpy() & value.notna().to_numpy()
        naive = (came - value).abs()[ok].mean()
        figures[signal] = {name: float((came - each).abs()[ok].mean() / naive) for name, each in rivals.items()}
    return figures


def regression(value: np.ndarray) -> np.ndarray:
    """One step ahead by least squares on the last five changes and the distance from a moving average, so far."""
    series = pd.Series(value)
    change = series.diff()
    inputs = pd.concat([*(change.shift(lag) for lag in range(_LAGS)), series.ewm(span=_SPAN).mean() - series], axis=1)
    x, y = np.c_[inputs.fillna(0.0).to_numpy(), np.ones(len(value))], change.shift(-1).to_numpy()
    gram, moment = _RIDGE * np.eye(x.shape[1]), np.zeros(x.shape[1])
    forecast = value.copy()
    for row in range(len(value)):
        if row >= _WARM_UP:
            forecast[row] += x[row] @ np.linalg.solve(gram, moment)
        if row and np.isfinite(y[row - 1]):  # what came at this row is an answer from the next one on
            gram, moment = gram + np.outer(x[row - 1], x[row - 1]), moment + x[row - 1] * y[row - 1]
    return forecast


def _tail(bars: pd.DataFrame, said: pd.DataFrame, judged: np.ndarray, system: str) -> Figures:
    move = np.log(bars.close.ffill()).diff()
    deviation = move.expanding(_WARM_UP).std()
    worst = pd.concat([move.shift(-ahead) for ahead in range(1, _AHEAD + 1)], axis=1).min(axis=1, skipna=False)
    width = bars.range_percent.ffill() if "range_percent" in bars and bars.range_percent.notna().any() else move.abs()
    rival = width.ewm(span=_SPAN).mean() / deviation
    calm = next(name for name in said if name.startswith("state.regime."))
    ok = judged & (worst.notna() & rival.notna()).to_numpy()
    came = (worst < -_DEVIATIONS * deviation).to_numpy()[ok]
    aurocs = {
        system: auroc(1.0 - said[calm].to_numpy()[ok], came),
        "average": auroc(rival.to_numpy()[ok], came),
    }
    return {"tail": aurocs, "tail_share": {"truth": float(came.mean())}}


if __name__ == "__main__":
    main()
