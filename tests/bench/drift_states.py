"""`python -m tests.bench.drift_states`: a state that only labels tell, when the sensors that show it change places.

The series, the changes and what counts as back are those of `tests.bench.drift`. The state says in which third of its
values before the change the first sensor is, whichever column carries it; each row's label comes with the next row. The
error is the log loss of what is served, before the row is learned. No fast head answers states: what is back is the
network.
"""

import argparse
import json
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from rich.table import Table

from infra.assembly import first_version, shard_parts
from infra.backtest.auto import auto_monitor
from infra.logs import configure
from infra.memory import MemoryLedger, MemoryRegistry
from infra.terminal import console
from ingest.files import FileSource
from schemas.label import Label
from schemas.layout import Layout
from schemas.monitor import Monitor
from scorer.run import run
from scorer.shard import SnapshotPolicy
from tests.bench.drift import (
    BATCH_ROWS,
    CHANGE,
    CHANGES,
    KINDS,
    OFF,
    SIGNALS,
    Float64,
    drifted,
    labels_until,
    read_series,
)
from tests.bench.report import machine
from trainer.learner import Learner

_TASK, _CLASSES = "load", ("low", "usual", "high")
_CONTESTANTS: dict[str, dict[str, object]] = {
    "frozen": OFF,
    "no ladder": OFF,
    "no adapters": {"drift": {"adapter_rank": 0}},
    "as configured": {},
    "adapters every 500 labels": {"drift": {"adapt_every": 500}},
}


@dataclass(frozen=True, slots=True)
class Course:
    """What one contestant made of one stream: the error of each row, and what learning did."""

    error: Float64
    actions: tuple[str, ...]


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    jobs = list(product(range(arguments.seeds), KINDS, _CONTESTANTS))
    with ProcessPoolExecutor(arguments.processes) as pool:
        done = pool.map(course, *zip(*((arguments.series, kind, name, seed) for seed, kind, name in jobs), strict=True))
        courses = dict(zip(jobs, done, strict=True))
    figures = {name: [_figures(courses, seed, name) for seed in range(arguments.seeds)] for name in _CONTESTANTS}
    out = console(stderr=arguments.json)
    out.print(_table(arguments.series, figures))
    for kind in KINDS:
        out.print(f"{kind}: {', '.join(courses[0, kind, 'as configured'].actions) or 'no action'}")
    if arguments.json:
        print(json.dumps({"series": arguments.series, **figures, "machine": machine()}))


def course(name: str, kind: str, contestant: str, seed: int) -> Course:
    """Stream one variant of the series: score, then learn rows and labels."""
    torch.set_num_threads(1)
    plain = read_series(name)
    told = np.digitize(plain[SIGNALS[0]], np.quantile(plain[SIGNALS[0]][:CHANGE], (1 / 3, 2 / 3)))
    layout, registry = Layout(_monitor(_CONTESTANTS[contestant])), MemoryRegistry()
    first_version(layout, registry)
    learner = Learner(layout, seed, registry, labelled=True)
    with tempfile.TemporaryDirectory(prefix="bellwether-drift-") as folder:
        file = Path(folder) / f"{name}.csv"
        drifted(plain, kind).to_csv(file, index=False)
        source = FileSource([file], layout, BATCH_ROWS)
    parts = shard_parts(layout, MemoryLedger(), registry, SnapshotPolicy(None, timedelta()), look_seconds=0.0)
    said, seen = [], 0
    for scored in run(source, parts.shard, parts.pipeline):
        assert scored is not None
        batch = scored.predictions.batch
        rows = slice(seen, seen + len(batch))
        said.append(scored.predictions.states[0])
        if contestant != "frozen" or seen < CHANGE:
            learner.observe(batch)
            times = batch.time_ms.tolist()
            learner.teach([Label(name, _TASK, at, value) for at, value in zip(times, told[rows].tolist(), strict=True)])
            learner.publish_if_proved()
        seen = rows.stop
    probability = np.concatenate(said)[np.arange(seen), told[:seen]]
    actions = tuple(f"{action.kind} at step {step}" for _, step, _, action in registry.actions)
    return Course(-np.log(np.maximum(probability, 1e-6)), actions)


def _monitor(training: dict[str, object]) -> Monitor:
    """What `--auto` makes of the series, and the state."""
    plain = auto_monitor(SIGNALS).model_dump(mode="json", exclude_unset=True)
    plain["tasks"].append({"name": _TASK, "kind": "state", "classes": list(_CLASSES)})
    return Monitor.model_validate(plain | {"training": {"windows_per_step": 4} | training})


def _figures(courses: dict[tuple[int, str, str], Course], seed: int, name: str) -> dict[str, float | None]:
    """`none`: the mean loss where nothing changes; of a change labels until the loss is back, and the mean loss."""
    measure = courses[seed, "none", name].error
    found: dict[str, float | None] = {"none": float(measure[CHANGE:].mean())}
    for kind, changes in CHANGES.items():
        error = courses[seed, kind, name].error
        told = [labels_until(error, measure, change) for change in changes]
        found[kind] = None if None in told else float(np.mean(np.array(told, dtype=float)))
        found[f"{kind} loss"] = float(error[CHANGE:].mean())
    return found


def _table(name: str, figures: dict[str, list[dict[str, float | None]]]) -> Table:
    table = Table(title=f"{name}: labels until a state's loss is back (mean log loss after the change), by seed")
    for heading in ("", "no change", *CHANGES):
        table.add_column(heading, justify="right")
    for contestant, seeds in figures.items():
        cells = [f"{_mean(seeds, 'none'):.3f}"]
        for kind in CHANGES:
            labels = ", ".join("never" if each[kind] is None else f"{each[kind]:.0f}" for each in seeds)
            cells.append(f"{labels} ({_mean(seeds, f'{kind} loss'):.3f})")
        table.add_row(contestant, *cells)
    return table


def _mean(seeds: list[dict[str, float | None]], name: str) -> float:
    return fmean(value for each in seeds if (value := each[name]) is not None)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drift_states", description=__doc__)
    parser.add_argument("--series", choices=("ETTh1", "ETTh2"), default="ETTh1")
    parser.add_argument("--seeds", type=int, default=1, help="of the injected faults and the network's first weights")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
