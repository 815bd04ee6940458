"""`python -m tests.bench.transfer`: does sharing help? One shared network, K true twins, and sharing with the gate.

Losses are prequential: each window is judged before it is learned; mean over the later half of the steps in which a
task could be judged, over seeds, with their spread. 1 is what knowing nothing costs. `above_twin`: loss less the twin's
of the same seed. `private`: the share of runs that ended with the task detached. Processor time of learning alone.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import pandas as pd
import torch

from infra.backtest.monitor import EVENT_WEIGHT
from infra.backtest.reveals import Reveals, of_entities
from infra.fitting.read import Reader
from infra.logs import configure
from infra.memory import MemoryRegistry
from infra.settings import load_monitor
from infra.terminal import console
from ingest.files import FileSource
from ingest.outcomes import read_outcomes
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.task import Share, Task, TaskKind
from tests.bench.quality.table import Figures, Measured, pooled, show
from tests.bench.shared import shared_data
from tests.converters import icu, markets
from trainer.learner import Learner
from trainer.network import Network, state_bytes

_BATCH_ROWS = 1024
_LOSS = ".loss"
_STAYS, _QUICK_STAYS, _QUICK_BARS = 250, 15, 700
_WAYS: Mapping[str, tuple[dict[str, object], Share]] = {
    "bellwether": ({}, Share.AUTO),
    "shared": ({"private": 0}, Share.ALWAYS),
    "twins": ({"private": 0, "sharing": "twins"}, Share.ALWAYS),
    "apart": ({}, Share.NEVER),
}
"""Word -> model settings and every task's `share`; bellwether: the gate decides; apart: private paths alone serve."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.transfer", description=__doc__)
    parser.add_argument("--stays", type=int, default=_STAYS)
    parser.add_argument(
        "--first", type=int, default=0, help="stays left out at the beginning: those that were chosen on"
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    configure(verbose=False)
    torch.set_num_threads(1)
    runs = []
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory(prefix="bellwether-bench-") as folder:
            streams = _streams(shared_data(), Path(folder), arguments.first, arguments.stays)
            runs.append(_compared(streams, seed))
    found = pooled(runs)
    show(console(stderr=arguments.json), found)
    if arguments.json:
        print(json.dumps({**found.figures, "spread": found.spread}))


def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured:
    """`transfer.<stream>.<task>.<metric>` of each way, and what the ways cost."""
    streams = _streams(shared, folder, 0, _QUICK_STAYS if quick else _STAYS)
    for file in streams["finance"][1] if quick else ():
        pd.read_csv(file)[:_QUICK_BARS].to_csv(file, index=False)
    return _compared(streams, seed)


Stream = tuple[Monitor, list[Path], Path | None]
"""A monitor, its rows and its outcomes."""


def _streams(shared: Path, folder: Path, first: int, stays: int) -> dict[str, Stream]:
    file = icu.convert(shared, folder, first + stays)
    if first:
        _leave_out(file, first)
    health = load_monitor("health", {})
    death = Task(name="death", kind=TaskKind.EVENT, weight=EVENT_WEIGHT)
    health = health.model_copy(update={"tasks": (*health.tasks, death)})
    return {
        "icu": (health, [file], icu.outcomes(shared, folder, file)),
        "finance": (load_monitor("finance", {}), markets.convert_daily(shared, folder), None),
    }


def _leave_out(file: Path, first: int) -> None:
    table = pd.read_parquet(file)
    left_out = set(sorted(table.entity.unique(), key=int)[:first])
    table[~table.entity.isin(left_out)].to_parquet(file, index=False)


def _compared(streams: Mapping[str, Stream], seed: int) -> Measured:
    figures: Figures = {}
    for name, stream in streams.items():
        for way in _WAYS:
            for metric, value in _way(way, *stream, seed).items():
                figures.setdefault(f"transfer.{name}.{metric}", {})[way] = value
    losses = {metric: ways for metric, ways in figures.items() if metric.endswith(_LOSS)}
    for metric, ways in losses.items():
        above = {way: loss - ways["twins"] for way, loss in ways.items() if way != "twins"}
        figures[f"{metric.removesuffix(_LOSS)}.above_twin"] = above
    return Measured(figures)


def _way(way: str, monitor: Monitor, files: Sequence[Path], outcomes: Path | None, seed: int) -> dict[str, float]:
    model, share = _WAYS[way]
    changed = {"model": monitor.model.model_copy(update={**model, "seed": seed})}
    tasks = tuple(task.model_copy(update={"share": share}) for task in monitor.tasks)
    layout = Layout(monitor.model_copy(update=changed | {"tasks": tasks}))
    began = time.process_time()
    learner, losses = _learn(layout, files, outcomes, seed)
    seconds = time.process_time() - began
    found = {f"{task}{_LOSS}": fmean(each[len(each) // 2 :]) for task, each in losses.items()}
    paths = {task: standing.path for task, standing in learner.candidate.sharing.items()}
    found |= {f"{task}.private": float(path == "private") for task, path in paths.items()}
    weights = sum(weight.numel() for weight in Network(layout).parameters())
    return found | {"weights": weights, "hidden_bytes": state_bytes(layout)["hidden"], "seconds": seconds}


def _learn(
    layout: Layout, files: Sequence[Path], outcomes: Path | None, seed: int
) -> tuple[Learner, dict[str, list[float]]]:
    source = FileSource(files, layout, _BATCH_ROWS)
    told = read_outcomes(outcomes) if outcomes else []
    reveals = Reveals(of_entities(told, source.events, source.order))
    learner = Learner(layout, seed, MemoryRegistry(), labelled=len(reveals) > 0)
    losses: dict[str, list[float]] = {}
    for batch in source.batches(Reader()):
        if batch is None:
            continue
        reports = learner.observe(batch)
        reports += learner.teach(reveals.until(batch.next_offsets[0])) if len(reveals) else []
        for report in reports:
            for task, loss in report.losses.items():
                losses.setdefault(task, []).append(loss)
    return learner, losses


if __name__ == "__main__":
    main()
