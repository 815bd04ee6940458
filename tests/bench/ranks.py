"""`python -m tests.bench.ranks`: one network learned online by one rank, and by several that each read a part.

ICU 2012 through the health monitor; each rank is a process with one thread of torch, and they average gradients over
gloo. As many windows a rank and step, so that two ranks learn twice as much in a step. No Kafka, no Ray. Efficiency is
rows a second over those of one rank, times its ranks: 1 would be perfect. Beside them as many learners that know
nothing of each other, each with a network of its own: what the machine gives to processes that run at the same time.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any
from zlib import crc32

import pandas as pd
import torch
from rich.table import Table
from torch import distributed, multiprocessing

from infra.fitting.read import Reader
from infra.logs import configure
from infra.memory import MemoryRegistry
from infra.settings import load_monitor
from infra.terminal import console
from ingest.files import FileSource
from schemas.layout import Layout
from schemas.observation import Batch
from tests.bench.shared import shared_data
from tests.converters import icu
from trainer.learner import Learner
from trainer.network import Network
from trainer.step_report import StepReport
from trainer.weights import save_weights

_ROWS = 256
"""Of a batch that a rank takes in."""
_PARTS = 4
"""Of the course of the loss."""
Figures = dict[str, Any]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ranks", description=__doc__)
    parser.add_argument("--stays", type=int, default=300)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bellwether-ranks-") as name:
        folder = Path(name)
        rows = pd.read_parquet(icu.convert(shared_data(), folder, arguments.stays))
        found = {str(ranks): _run(rows, ranks, folder, "together") for ranks in arguments.ranks}
        found |= {f"{ranks} apart": _run(rows, ranks, folder, "apart") for ranks in arguments.ranks if ranks > 1}
    console(stderr=arguments.json).print(_speed(found), _courses(found))
    if arguments.json:
        print(json.dumps(found))


def _run(rows: pd.DataFrame, ranks: int, folder: Path, way: str) -> Figures:
    """What so many ranks came to, together or apart; each entity is one rank's."""
    place = rows.entity.map(lambda entity: crc32(entity.encode()) % ranks)
    for rank in range(ranks):
        rows[place == rank].to_parquet(folder / f"{ranks}-{rank}.parquet", index=False)
    multiprocessing.spawn(_rank, (ranks, folder, way), nprocs=ranks)
    found = [json.loads((folder / f"{ranks}-{rank}.json").read_text()) for rank in range(ranks)]
    seconds = max(each["seconds"] for each in found)
    learned = found[0]["events"] if way == "together" else sum(each["events"] for each in found)
    return {
        "ranks": ranks,
        "rows": learned,
        "steps": found[0]["steps"],
        "rows_per_second": learned / seconds,
        "rows_per_cpu_second": learned / sum(each["cpu_seconds"] for each in found),
        "course": found[0]["course"],
    }


def _rank(rank: int, ranks: int, folder: Path, way: str) -> None:
    """One process: its rows decoded beforehand, then taken in and learned with the others."""
    torch.set_num_threads(1)
    configure(verbose=False)
    distributed.init_process_group("gloo", f"file://{folder / f'meet-{ranks}-{way}'}", rank=rank, world_size=ranks)
    group = distributed.group.WORLD if way == "together" else None
    layout, registry = Layout(load_monitor("health")), MemoryRegistry()
    registry.publish_first(save_weights(Network(layout)))
    batches = _batches(layout, folder / f"{ranks}-{rank}.parquet")
    learner = Learner(layout, 0, registry, group=group)
    distributed.barrier()
    wall, processor = time.perf_counter(), time.process_time()
    reports = _learned(learner, batches, _any if way == "together" else bool)
    found = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}
    found |= {"steps": learner.steps, "events": learner.events, "course": _course(reports)}
    (folder / f"{ranks}-{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


def _batches(layout: Layout, file: Path) -> list[Batch]:
    source = FileSource([file], layout, _ROWS)
    return [replace(batch, raw=()) for batch in source.batches(Reader()) if batch is not None]


def _learned(learner: Learner, batches: Sequence[Batch], anybody: Callable[[bool], bool]) -> list[StepReport]:
    """Rounds until no rank has rows left: each takes a batch, then all step as long as one is ready."""
    reports: list[StepReport] = []
    waiting = list(reversed(batches))
    while anybody(waiting != []):
        if waiting:
            learner.take(waiting.pop())
        while anybody(learner.ready):
            reports.append(learner.step())
    return reports


def _any(mine: bool) -> bool:
    """Does any rank say so?"""
    wish = torch.tensor(int(mine))
    distributed.all_reduce(wish, distributed.ReduceOp.MAX)
    return bool(wish)


def _course(reports: Sequence[StepReport]) -> list[dict[str, float]]:
    """Mean losses by task in equal parts of the rows learned, oldest first."""
    end = reports[-1].events
    parts: list[list[Mapping[str, float]]] = [[] for _ in range(_PARTS)]
    for report in reports:
        parts[min(_PARTS * report.events // (end + 1), _PARTS - 1)].append(report.losses)
    return [
        {task: _mean([losses[task] for losses in part if task in losses]) for task in reports[-1].losses}
        for part in parts
    ]


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else math.nan


def _speed(found: Mapping[str, Figures]) -> Table:
    table = Table("ranks", "rows", "steps", "rows/s", "rows/CPU-s", "efficiency", title="Learned by one, and together")
    first = next(iter(found.values()))
    for ranks, each in found.items():
        efficiency = each["rows_per_second"] / first["rows_per_second"] * first["ranks"] / each["ranks"]
        speed = (f"{each['rows_per_second']:,.0f}", f"{each['rows_per_cpu_second']:,.0f}", f"{efficiency:.2f}")
        table.add_row(ranks, f"{each['rows']:,}", str(each["steps"]), *speed)
    return table


def _courses(found: Mapping[str, Figures]) -> Table:
    table = Table("ranks", "task", *(f"part {part + 1}" for part in range(_PARTS)), title="Loss over the rows learned")
    for ranks, each in found.items():
        for task in each["course"][0]:
            table.add_row(ranks, task, *(f"{losses[task]:.3f}" for losses in each["course"]))
    return table


if __name__ == "__main__":
    main()
