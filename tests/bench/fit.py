"""`python -m tests.bench.fit`: epochs of one fit, by precision of its products, on any device: no Ray, no database.

The shipped health monitor with death in hospital, on stays of ICU 2012. Every precision starts from the same weights,
sees the same pieces in the same order, and is judged in float32 after its last epoch. One thread of torch.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from infra.fitting.options import FitOptions
from infra.fitting.read import History, layout_of, read_history
from infra.logs import configure
from infra.terminal import console
from schemas.layout import Layout
from tests.bench.shared import shared_data
from tests.converters import icu
from trainer.fit import Fit, meet
from trainer.network import Network
from trainer.precision import PRECISIONS

_KEPT = 0.3
"""Share of the stays that judge."""
Figures = Mapping[str, float]


def main() -> None:
    """Fit, judge, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fit", description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ...")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--stays", type=int, default=300, help="read, those that judge included")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    configure(verbose=False)
    torch.set_num_threads(1)
    layout, history = _history(arguments.stays, arguments.epochs)
    device = torch.device(arguments.device)
    found = {
        precision: [_fitted(layout, history, precision, seed, device) for seed in range(arguments.seeds)]
        for precision in arguments.precision
    }
    rows = sum(map(len, history.streams))
    console(stderr=arguments.json).print(
        _table(f"{rows:,} rows an epoch on {device}, {arguments.epochs} epochs", found)
    )
    if arguments.json:
        print(json.dumps({"device": str(device), "rows": rows, **found}))


def _history(stays: int, epochs: int) -> tuple[Layout, History]:
    with tempfile.TemporaryDirectory(prefix="bellwether-bench-") as name:
        file = icu.convert(shared_data(), Path(name))
        layout, outcomes = layout_of(FitOptions("health", (file,), icu.outcomes(shared_data(), Path(name), file)))
        fitting = layout.monitor.fitting.model_copy(update={"epochs": epochs, "validation": _KEPT})
        layout = Layout(layout.monitor.model_copy(update={"fitting": fitting}))
        history = read_history((file,), layout, outcomes, 0)
    kept = round(stays * _KEPT)
    return layout, History(history.streams[: stays - kept], history.kept[:kept], history.rows, history.files)


def _fitted(layout: Layout, history: History, precision: str, seed: int, device: torch.device) -> Figures:
    """Losses of the validation part by task after the last epoch, and what an epoch took, judging included."""
    fitting = layout.monitor.fitting.model_copy(update={"precision": precision})
    layout = Layout(layout.monitor.model_copy(update={"fitting": fitting}))
    network = Network(layout)
    meet(network, history.streams)
    fit = Fit(network, layout, history.learned(layout), history.judged(layout), seed, device=device)
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(fitting.epochs):
        epoch = fit.epoch()
    return {
        **epoch.validation.losses,
        "refused steps": float(epoch.refused),
        "seconds an epoch": (time.perf_counter() - wall) / fitting.epochs,
        "processor seconds an epoch": (time.process_time() - processor) / fitting.epochs,
    }


def _table(title: str, found: Mapping[str, list[Figures]]) -> Table:
    table = Table("", *found, title=title)
    for figure in next(iter(found.values()))[0]:
        means = [np.array([each[figure] for each in seeds]) for seeds in found.values()]
        table.add_row(figure, *(f"{each.mean():.4f} ({each.std():.4f})" for each in means))
    return table


if __name__ == "__main__":
    main()
