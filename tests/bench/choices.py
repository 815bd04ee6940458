"""`python -m tests.bench.choices WHAT`: what each word of the config makes of real streams, by the learner alone.

WHAT is the optimiser, the way of sharing (`twins`: a network for each task), the recurrent cell, the weighting of
tasks, whether the anomaly head reads residuals, or how much the measured similarity of tasks tells each where to look.
Losses are prequential (each step's, before its update, one pass), standardised (1 = knowing nothing), and the mean over
the later half of the steps. ICU stays through the shipped health monitor; ETTh1 as `--auto` reads it. Beside them how
many weights there are, and processor time over the default's.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import get_args

import numpy as np
import pandas as pd
import torch
from rich.table import Table

from infra.backtest.auto import auto_monitor
from infra.fitting.read import Reader
from infra.logs import configure
from infra.memory import MemoryRegistry
from infra.settings import load_monitor
from infra.terminal import console
from ingest.files import FileSource
from schemas.components import Weighting
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.bench.report import machine
from tests.bench.shared import shared_data
from tests.converters import ett, icu
from trainer.cells import CELLS
from trainer.learner import Learner
from trainer.network import Network
from trainer.optimisers import OPTIMISERS
from trainer.sharing import STRATEGIES

_BATCH_ROWS = 1024
_HORIZONS = (1, 24, 48)
_WORDS: Mapping[str, tuple[str, ...]] = {
    "optimiser": tuple(OPTIMISERS),
    "sharing": (*STRATEGIES, "twins"),
    "cell": tuple(CELLS),
    "weighting": get_args(Weighting),
    "residuals": ("on", "off"),
    "similarity_bias": ("0", "0.5", "1", "2"),
}
_MEANT: Mapping[str, Callable[[str], object]] = {"residuals": "on".__eq__, "similarity_bias": float}
_OF_TRAINING = {"optimiser", "weighting"}
_BESIDE = ("weights", "refused", "seconds")
Figures = dict[str, float]
"""Task -> mean loss; weights; refused steps; processor seconds."""


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    torch.set_num_threads(1)
    out = console(stderr=arguments.json)
    load = {"before": os.getloadavg()[0]}
    figures: dict[str, dict[str, list[Figures]]] = {}
    with tempfile.TemporaryDirectory(prefix="bellwether-choices-") as folder:
        for stream, monitor, file in _streams(shared_data(), Path(folder), arguments.stays):
            for seed in range(arguments.seeds):
                for word in arguments.words or _WORDS[arguments.what]:
                    found = _learn(_with(monitor, arguments.what, word, seed), file, seed)
                    figures.setdefault(stream, {}).setdefault(word, []).append(found)
            out.print(_table(stream, arguments.what, figures[stream]))
    load["after"] = os.getloadavg()[0]
    out.print(f"load average before {load['before']:.1f}, after {load['after']:.1f}, {os.cpu_count()} CPUs")
    if arguments.json:
        print(json.dumps({"stays": arguments.stays, **figures, "load": load, "machine": machine()}))


def _streams(shared: Path, folder: Path, stays: int) -> Iterator[tuple[str, Monitor, Path]]:
    yield "icu", load_monitor("health", {}), icu.convert(shared, folder, stays=stays)
    etth1, _ = ett.convert(shared, folder)
    yield "etth1", auto_monitor(list(pd.read_csv(etth1, nrows=0).columns[2:]), _HORIZONS), etth1


def _with(monitor: Monitor, what: str, word: str, seed: int) -> Monitor:
    changed = {what: _MEANT.get(what, str)(word)}
    training = monitor.training.model_copy(update=changed if what in _OF_TRAINING else {})
    model = monitor.model.model_copy(update={"seed": seed} | ({} if what in _OF_TRAINING else changed))
    return monitor.model_copy(update={"training": training, "model": model})


def _learn(monitor: Monitor, file: Path, seed: int) -> Figures:
    """Mean loss of each task over the later half of the steps, and what it took."""
    layout = Layout(monitor)
    learner, source = Learner(layout, seed, MemoryRegistry()), FileSource([file], layout, _BATCH_ROWS)
    batches = [batch for batch in source.batches(Reader()) if batch is not None]
    began = time.process_time()
    reports = [report for batch in batches for report in learner.observe(batch)]
    seconds = time.process_time() - began
    later = reports[len(reports) // 2 :]
    tasks = dict.fromkeys(task for report in later for task in report.losses)
    means = {task: float(np.mean([report.losses[task] for report in later if task in report.losses])) for task in tasks}
    weights = sum(weight.numel() for weight in Network(layout).parameters())
    refused = sum(report.refused is not None for report in reports)
    return means | {"weights": weights, "refused": refused, "seconds": seconds}


def _table(stream: str, what: str, rows: Mapping[str, Sequence[Figures]]) -> Table:
    """The first word is the default's row: time is told as a multiple of its."""
    seeds = next(iter(rows.values()))
    table = Table(title=f"{stream}: mean loss by {what}, {len(seeds)} seeds ± sd")
    tasks = [name for name in seeds[0] if name not in _BESIDE]
    for name in (what, *tasks, "weights", "refused", "time"):
        table.add_column(name, justify="left" if name == what else "right")
    usual = fmean(each["seconds"] for each in seeds)
    for word, found in rows.items():
        time_taken = fmean(each["seconds"] for each in found) / usual
        losses = (_spread([each[task] for each in found]) for task in tasks)
        refused = sum(each["refused"] for each in found)
        table.add_row(word, *losses, f"{found[0]['weights']:,}", f"{refused:g}", f"{time_taken:.2f}")
    return table


def _spread(values: Sequence[float]) -> str:
    return f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.choices", description=__doc__)
    parser.add_argument("what", choices=_WORDS)
    parser.add_argument("--words", nargs="+", metavar="WORD", help="default: all that there are")
    parser.add_argument("--seeds", type=int, default=3, help="of the weights and the injected faults")
    parser.add_argument("--stays", type=int, default=300, help="of the ICU, at most 4000")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
