"""`python -m tests.bench.warnings`: are patients' crises foretold, and at what price in false alarms?

ICU stays through the shipped health monitor, score before learning, one pass. Its severities were chosen on the first
stays of the data set; those judged here come after them. Beside: NEWS2's own alerts; and thresholds on NEWS2 now, on
single signals and on chance, through the same stages at the threshold that raises as many alarms, and silent too while
the crisis stands.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from infra.backtest.options import Options
from infra.backtest.run import backtest
from infra.logs import configure
from infra.terminal import console
from tests.bench.quality.table import Figures, Measured, show
from tests.bench.report import machine
from tests.bench.shared import shared_data
from tests.converters import icu

_CHOSEN_ON = 1200
"""Stays that the severities were chosen on."""
_STAYS, _QUICK_STAYS = 1200, 60
_BUDGET = "0.49 per entity-day"
"""That of the wards whose alarms were published."""
_TASK = "deterioration"
_BESIDE = {
    "rule": "NEWS2 alerts",
    "persistence": "NEWS2 threshold",
    "single_signal": "single signals",
    "random": "random",
}
"""As the report calls them, and as they are called here."""


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    out = console(stderr=arguments.json)
    load = {"before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="bellwether-warnings-") as folder:
        stays = _stays(shared_data(), Path(folder), arguments.stays, 0)
        figures = _warned(stays, Path(folder), 0, arguments.budget)
    load["after"] = os.getloadavg()[0]
    show(out, Measured(figures))
    out.print(f"load average before {load['before']:.1f}, after {load['after']:.1f}, {os.cpu_count()} CPUs")
    if arguments.json:
        print(json.dumps({"stays": arguments.stays, **figures, "load": load, "machine": machine()}))


def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured:
    """`warnings.shipped.<metric>`, and `warnings.budget.<metric>` with a budget of all alarms.

    The seed is the network's, and of the days of admission.
    """
    stays = _stays(shared, folder, _QUICK_STAYS if quick else _STAYS, seed)
    return Measured(_warned(stays, folder, seed, None) | _warned(stays, folder, seed, _BUDGET))


def _warned(stays: Path, folder: Path, seed: int, budget: str | None) -> Figures:
    report = backtest(Options(_monitor(folder, budget), (stays,), seed=seed)).report
    systems = {"bellwether": report["tasks"]} | {said: report["baselines"][name] for name, said in _BESIDE.items()}
    name = "warnings.shipped" if budget is None else "warnings.budget"
    figures: Figures = {}
    for system, tasks in systems.items():
        for metric, value in _numbers(tasks[_TASK]["warnings"]):
            figures.setdefault(f"{name}.{metric}", {})[system] = value
    if budget is not None:
        figures[f"{name}.alarms_off_budget"] = {"bellwether": report["tasks"]["anomaly"]["budget"]["entity"]["off"]}
    return figures


def _numbers(warned: Mapping[str, Any]) -> list[tuple[str, float]]:
    """All that are known; quartiles one by one."""
    quartiles = {f"{name}.{q}": value for name in ("lead_hours", "lead_rows") for q, value in warned[name].items()}
    return [(name, value) for name, value in {**warned, **quartiles}.items() if isinstance(value, int | float)]


def _monitor(folder: Path, budget: str | None) -> str:
    """The shipped one; with a budget, a file of it that keeps one."""
    if budget is None:
        return "health"
    settings = yaml.safe_load(files("infra.monitors").joinpath("health.yaml").read_text())
    settings["alerts"]["budget"] = budget
    (folder / "health.yaml").write_text(yaml.safe_dump(settings))
    return str(folder / "health.yaml")


def _stays(shared: Path, folder: Path, stays: int, seed: int) -> Path:
    """So many stays, of those that nothing was chosen on."""
    file = icu.convert(shared, folder, stays=_CHOSEN_ON + stays, seed=seed)
    frame = pd.read_parquet(file)
    judged = sorted(frame["entity"].unique(), key=int)[_CHOSEN_ON:]
    frame[frame["entity"].isin(judged)].to_parquet(file, index=False)
    return file


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Events foretold at the same number of alarms.")
    parser.add_argument("--stays", type=int, default=_STAYS)
    parser.add_argument("--budget", help=f"of all alarms, as alerts.budget: {_BUDGET}")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
