"""`python -m tests.bench.optimisers`: what each optimiser makes of real streams: the learner alone, one seed, one pass.

Losses are prequential (each step's, before its update), standardised (1 = knowing nothing), and the mean over the later
half of the steps. ICU stays through the shipped health monitor; ETTh1 as `--auto` reads it.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from infra.backtest.auto import auto_monitor
from infra.fitting.read import Reader
from infra.logs import configure
from infra.memory import MemoryRegistry
from infra.settings import load_monitor
from ingest.files import FileSource
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.bench.report import machine
from tests.bench.shared import shared_data
from tests.converters import ett, icu
from trainer.learner import Learner
from trainer.optimisers import OPTIMISERS

_BATCH_ROWS = 1024
_HORIZONS = (1, 24, 48)
Figures = dict[str, float]
"""Task -> mean loss; steps; refused steps."""


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    torch.set_num_threads(1)
    console = Console(stderr=arguments.json, highlight=False)
    load = {"before": os.getloadavg()[0]}
    figures: dict[str, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="bellwether-optimisers-") as folder:
        for stream, monitor, file in _streams(shared_data(), Path(folder), arguments.stays):
            for name, rate in _contestants(arguments):
                found = _learn(monitor, file, name, rate, arguments.seed)
                figures.setdefault(stream, {})[f"{name} {rate:g}"] = found
                console.print(f"{stream}, {name} {rate:g}: {_line(found)}")
    load["after"] = os.getloadavg()[0]
    for stream, rows in figures.items():
        console.print(_table(stream, rows))
    console.print(f"load average before {load['before']:.1f}, after {load['after']:.1f}, {os.cpu_count()} CPUs")
    if arguments.json:
        print(json.dumps({"stays": arguments.stays, **figures, "load": load, "machine": machine()}))


def _contestants(arguments: argparse.Namespace) -> Iterator[tuple[str, float]]:
    for name in arguments.optimisers:
        for rate in arguments.learning_rates or [OPTIMISERS[name].learning_rate]:
            yield name, rate


def _line(figures: Figures) -> str:
    return ", ".join(f"{metric} {value:.4g}" for metric, value in figures.items())


def _table(stream: str, rows: dict[str, Figures]) -> Table:
    table = Table(title=stream)
    table.add_column("optimiser, learning rate")
    for metric in next(iter(rows.values())):
        table.add_column(metric, justify="right")
    for name, figures in rows.items():
        table.add_row(name, *(f"{value:.4g}" for value in figures.values()))
    return table


def _streams(shared: Path, folder: Path, stays: int) -> Iterator[tuple[str, Monitor, Path]]:
    yield "icu", load_monitor("health", {}), icu.convert(shared, folder, stays=stays)
    etth1, _ = ett.convert(shared, folder)
    yield "etth1", auto_monitor(list(pd.read_csv(etth1, nrows=0).columns[2:]), _HORIZONS), etth1


def _learn(monitor: Monitor, file: Path, name: str, rate: float, seed: int) -> Figures:
    """Mean loss of each task over the later half of the steps; how many steps there were, and were refused."""
    training = monitor.training.model_copy(update={"optimiser": name, "learning_rate": rate})
    model = monitor.model.model_copy(update={"seed": seed})
    layout = Layout(monitor.model_copy(update={"training": training, "model": model}))
    learner = Learner(layout, seed, MemoryRegistry())
    source = FileSource([file], layout, _BATCH_ROWS)
    reports = [report for batch in source.batches(Reader()) if batch is not None for report in learner.observe(batch)]
    later = reports[len(reports) // 2 :]
    tasks = dict.fromkeys(task for report in later for task in report.losses)
    means = {task: float(np.mean([report.losses[task] for report in later if task in report.losses])) for task in tasks}
    return means | {"steps": len(reports), "refused": sum(report.refused is not None for report in reports)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.optimisers", description=__doc__)
    parser.add_argument("--optimisers", nargs="+", choices=OPTIMISERS, default=list(OPTIMISERS), metavar="NAME")
    parser.add_argument("--learning-rates", nargs="+", type=float, metavar="RATE", help="default: each one's own")
    parser.add_argument("--stays", type=int, default=300, help="of the ICU, at most 4000")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the injected faults")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
