"""`python -m tests.bench.transfer`: does sharing help? One shared network, K true twins, and sharing with the gate.

Losses are prequential: each window is judged before it is learned; mean over the later half of the steps in which a
task could be judged, over seeds, with their spread. 1 is what knowing nothing costs. Processor time of learning alone.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, pstdev

import structlog
import torch
from rich.console import Console
from rich.table import Table

from infra.backtest.monitor import EVENT_WEIGHT
from infra.backtest.reveals import Reveals, of_entities
from infra.fitting.read import Reader
from infra.logs import configure
from infra.memory import MemoryRegistry
from infra.settings import load_monitor
from ingest.files import FileSource
from ingest.outcomes import read_outcomes
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.task import Share, Task, TaskKind
from tests.bench.shared import shared_data
from tests.converters import icu, markets
from trainer.learner import Learner
from trainer.network import Network, state_bytes

_BATCH_ROWS = 1024
_WAYS: Mapping[str, tuple[dict[str, object], Share]] = {
    "shared": ({"private": 0}, Share.ALWAYS),
    "twins": ({"private": 0, "sharing": "twins"}, Share.ALWAYS),
    "gate": ({}, Share.AUTO),
    "apart": ({}, Share.NEVER),
}
"""Word -> model settings and every task's `share`; apart: private paths alone serve."""


@dataclass(slots=True)
class Found:
    """Of one way: prequential losses per task, one a seed, and what it cost."""

    losses: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    weights: int = 0
    state: int = 0
    paths: dict[str, list[str]] = field(default_factory=dict)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.transfer", description=__doc__)
    parser.add_argument("--stays", type=int, default=250)
    parser.add_argument(
        "--first", type=int, default=0, help="stays left out at the beginning: those that were chosen on"
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    configure(verbose=False)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    torch.set_num_threads(1)
    figures = {}
    with tempfile.TemporaryDirectory(prefix="bellwether-bench-") as name:
        for title, monitor, files, outcomes in _streams(Path(name), arguments.first, arguments.stays):
            found = {word: _way(word, monitor, files, outcomes, arguments.seeds) for word in _WAYS}
            Console(stderr=arguments.json).print(_table(title, found))
            figures[title] = {word: {"losses": each.losses, "seconds": each.seconds} for word, each in found.items()}
    if arguments.json:
        print(json.dumps(figures))


def _streams(folder: Path, first: int, stays: int) -> list[tuple[str, Monitor, list[Path], Path | None]]:
    shared = shared_data()
    file = icu.convert(shared, folder, first + stays)
    if first:
        _leave_out(file, first)
    health = load_monitor("health", {})
    death = Task(name="death", kind=TaskKind.EVENT, weight=EVENT_WEIGHT)
    health = health.model_copy(update={"tasks": (*health.tasks, death)})
    daily = markets.convert_daily(shared, folder)
    return [
        (f"ICU 2012, {stays} stays", health, [file], icu.outcomes(shared, folder, file)),
        ("finance, daily", load_monitor("finance", {}), daily, None),
    ]


def _leave_out(file: Path, first: int) -> None:
    import pandas as pd

    table = pd.read_parquet(file)
    left_out = set(sorted(table.entity.unique(), key=int)[:first])
    table[~table.entity.isin(left_out)].to_parquet(file, index=False)


def _way(word: str, monitor: Monitor, files: Sequence[Path], outcomes: Path | None, seeds: int) -> Found:
    found = Found()
    for seed in range(seeds):
        model, share = _WAYS[word]
        changed = {"model": monitor.model.model_copy(update={**model, "seed": seed})}
        tasks = tuple(task.model_copy(update={"share": share}) for task in monitor.tasks)
        layout = Layout(monitor.model_copy(update=changed | {"tasks": tasks}))
        began = time.process_time()
        learner, losses = _learn(layout, files, outcomes, seed)
        found.seconds += (time.process_time() - began) / seeds
        for task, each in losses.items():
            found.losses.setdefault(task, []).append(fmean(each[len(each) // 2 :]))
        for task, standing in learner.candidate.sharing.items():
            found.paths.setdefault(task, []).append(standing.path)
        found.weights = sum(weight.numel() for weight in Network(layout).parameters())
        found.state = state_bytes(layout)["hidden"]
    return found


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


def _table(title: str, found: Mapping[str, Found]) -> Table:
    table = Table(title=f"{title}: prequential loss, mean (spread over seeds)")
    for name in ("", *found):
        table.add_column(name, justify="right", no_wrap=True)
    for task in found["shared"].losses:
        table.add_row(task, *(_loss(each, task) for each in found.values()))
    table.add_row("weights", *(f"{each.weights:,}" for each in found.values()))
    table.add_row("hidden B", *(f"{each.state:,}" for each in found.values()))
    table.add_row("seconds", *(f"{each.seconds:.1f}" for each in found.values()))
    return table


def _loss(found: Found, task: str) -> str:
    detached = sum(path == "private" for path in found.paths[task])
    said = f"{fmean(found.losses[task]):.4f} ({pstdev(found.losses[task]):.4f})"
    return said if not detached else f"{said} {detached}/{len(found.paths[task])} private"


if __name__ == "__main__":
    main()
