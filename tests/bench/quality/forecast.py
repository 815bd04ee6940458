"""ETTh1 and ETTh2 online: MSE over 1..H, standardised by four months; judged are the fifteen after the fifth."""

from pathlib import Path

import pandas as pd

from infra.backtest.options import Options
from infra.backtest.run import backtest
from tests.bench.quality.table import Figures, Measured
from tests.converters import ett

_LONGEST, _SHOWN = 48, (1, 24, 48)
_ROWS, _QUICK_ROWS = (2880, 3600, 14_400), (120, 150, 300)
"""Those that standardise, the first that is judged, all."""


def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured:
    """`forecast.<set>.<metric>_to_h<H>` of bellwether and of persistence: means over 1..H."""
    figures: Figures = {}
    horizons = tuple(range(1, _LONGEST + 1))
    scaler_rows, first, end = _QUICK_ROWS if quick else _ROWS
    for file in ett.convert(shared, folder):
        pd.read_csv(file)[:end].to_csv(file, index=False)
        options = Options(None, (file,), horizons=horizons, seed=seed, standardise_rows=scaler_rows, score_from=first)
        report = backtest(options).report
        ours, naive = (
            tasks["forecast"]["standardised"] for tasks in (report["tasks"], report["baselines"]["persistence"])
        )
        for horizon in _SHOWN:
            for metric in ("mse", "mae", "pinball", "coverage"):
                figures[f"forecast.{file.stem}.{metric}_to_h{horizon}"] = {
                    "bellwether": ours[f"to_h{horizon}"][metric],
                    "persistence": naive[f"to_h{horizon}"][metric],
                }
    return Measured(figures)
