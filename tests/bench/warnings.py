"""`python -m tests.bench.warnings`: are patients' crises foretold, and at what price in false alarms?

ICU stays through the shipped health monitor, score before learning, one pass. Its severities were chosen on the first
stays of the data set; those judged here come after them. Beside: NEWS2's own alerts; and the same score now
(persistence), thresholds on single signals and chance, through the same stages at the threshold that raises as many
alarms, and silent too while the crisis stands.
"""

import argparse
import json
import os
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from rich.console import Console
from rich.table import Table

from infra.backtest.options import Options
from infra.backtest.run import backtest
from infra.logs import configure
from tests.bench.report import machine
from tests.bench.shared import shared_data
from tests.converters import icu

_CHOSEN_ON = 1200
"""Stays that the severities were chosen on."""
_TASK = "deterioration"
_SHOWN = ("events", "caught", "alarms", "foretelling", "late", "false", "false_per_entity_day", "precision")


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    console = Console(stderr=arguments.json, highlight=False)
    load = {"before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="bellwether-warnings-") as folder:
        monitor = _monitor(Path(folder), arguments.budget)
        report = backtest(Options(monitor, (_stays(Path(folder), arguments.stays),))).report
    load["after"] = os.getloadavg()[0]
    figures = {"bellwether": report["tasks"][_TASK]["warnings"]}
    figures |= {name: tasks[_TASK]["warnings"] for name, tasks in report["baselines"].items() if _judged(tasks)}
    console.print(_table(figures))
    console.print(f"load average before {load['before']:.1f}, after {load['after']:.1f}, {os.cpu_count()} CPUs")
    if arguments.json:
        print(json.dumps({"stays": arguments.stays, "warnings": figures, "load": load, "machine": machine()}))


def _monitor(folder: Path, budget: str | None) -> str:
    """The shipped one; with a budget, a file of it that keeps one."""
    if budget is None:
        return "health"
    settings = yaml.safe_load(files("infra.monitors").joinpath("health.yaml").read_text())
    settings["alerts"]["budget"] = budget
    (folder / "health.yaml").write_text(yaml.safe_dump(settings))
    return str(folder / "health.yaml")


def _stays(folder: Path, stays: int) -> Path:
    """So many stays, of those that nothing was chosen on."""
    file = icu.convert(shared_data(), folder, stays=_CHOSEN_ON + stays)
    frame = pd.read_parquet(file)
    judged = sorted(frame["entity"].unique(), key=int)[_CHOSEN_ON:]
    frame[frame["entity"].isin(judged)].to_parquet(file, index=False)
    return file


def _judged(tasks: dict[str, Any]) -> bool:
    return "warnings" in tasks.get(_TASK, {})


def _table(figures: dict[str, dict[str, Any]]) -> Table:
    table = Table("", *figures, box=None, title=f"{_TASK}: warnings", title_justify="left")
    for name in _SHOWN:
        table.add_row(name, *(_text(each[name]) for each in figures.values()))
    for unit in ("hours", "rows"):
        leads = [each[f"lead_{unit}"] for each in figures.values()]
        table.add_row(f"lead_{unit}", *("/".join(_text(value) for value in lead.values()) for lead in leads))
    return table


def _text(value: float | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.3g}" if isinstance(value, float) else str(value)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Events foretold at the same number of alarms.")
    parser.add_argument("--stays", type=int, default=1200)
    parser.add_argument("--budget", help="of all alarms, as alerts.budget: 0.49 per entity-day")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
