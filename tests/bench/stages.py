"""`python -m tests.bench.stages`: where the time of one micro-batch goes, stage by stage, at several sizes.

The shard's own loop over records in memory, committed to a real PostgreSQL (to SQLite where there is none); no Kafka
and no other thread. A stage's time is its own, without that of stages inside it. CPU is the scoring thread's; what it
waits for is the database. Medians over batches, so that one snapshot or a busy neighbour counts for nothing.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

import scorer.scorer
from infra.assembly import first_version, shard_parts, utc_now
from infra.database import connect, migrate
from infra.logs import configure
from infra.memory import MemoryRegistry
from infra.meter import Meter
from infra.settings import load_monitor
from infra.stack.postgres import Postgres, find_programs
from infra.terminal import console
from ingest.decode import Decoder
from ingest.record import PlainRecord
from schemas.errors import StackError
from schemas.layout import Layout
from schemas.observation import Batch, DeadLetter, GlobalRow, Partition
from schemas.protocols import Owner
from scorer.detector import Detector
from scorer.fast import FastHead
from scorer.ledger import SqlLedger
from scorer.run import run
from scorer.scorer import Scorer
from scorer.served import Server
from scorer.shard import Shard, SnapshotPolicy
from scorer.stages.pipeline import AlertPipeline
from scorer.store import Store
from tests.bench.services import Services
from tests.bench.stream import PARTITIONS, records, walks
from tests.bench.systems import MONITOR
from trainer.encoder import Encoder
from trainer.fusion import Fusion, TaskAttention
from trainer.heads import AnomalyHead, ForecastHead
from trainer.population import Population
from trainer.statistics import Statistics

_SIZES = (10, 20, 100, 512)
_BREAK_RATE = 0.01
_WARM_BATCHES = 20
_PARTITIONS = [Partition("bench", number) for number in range(PARTITIONS)]
_STAGES: tuple[tuple[Any, str, str], ...] = (
    (Decoder, "decode", "decode"),
    (Scorer, "_slots", "slots"),
    (Scorer, "_admit", "admission"),
    (scorer.scorer, "pack", "pack"),
    (Store, "gather", "gather"),
    (Store, "scatter", "scatter"),
    (Statistics, "observe", "statistics"),
    (Population, "forward", "population"),
    (Encoder, "forward", "encoder"),
    (Fusion, "forward", "fusion"),
    (TaskAttention, "forward", "task attention"),
    (ForecastHead, "forward", "heads"),
    (AnomalyHead, "forward", "heads"),
    (Server, "serve", "rest of the network"),
    (Detector, "scan", "detector"),
    (FastHead, "scan", "fast head"),
    (Shard, "score", "rest of scoring"),
    (AlertPipeline, "decide", "decide"),
    (Shard, "refused", "dead letters"),
    (SqlLedger, "commit", "transaction"),
    (Shard, "commit", "rest of the commit"),
    (Meter, "add", "meter"),
)
Budget = dict[str, float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stages", description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, default=_SIZES, help="rows of a micro-batch")
    parser.add_argument("--batches", type=int, default=300, help="of each size")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    configure(verbose=False)
    torch.set_num_threads(1)
    watch = _Watch()
    for owner, function, stage in _STAGES:
        setattr(owner, function, watch.over(getattr(owner, function), stage))
    with ExitStack() as stack:
        url_of = _databases(stack)
        budgets = {size: _budget(watch, url_of(size), size, arguments.batches) for size in arguments.sizes}
    console(stderr=arguments.json).print(_table(budgets))
    if arguments.json:
        print(json.dumps(budgets))


def _databases(stack: ExitStack) -> Callable[[int], str]:
    """URL of an empty database for each size."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bellwether-bench-")))
    folder.chmod(0o711)  # the account that runs PostgreSQL for root must enter it
    try:
        find_programs()
    except StackError:
        return lambda size: f"sqlite:///{folder / f'{size}.db'}"
    server = stack.enter_context(Postgres(folder / "postgres"))
    return lambda size: Services("", server.url, folder).fresh_database(f"budget_{size}")


def _table(budgets: Mapping[int, Budget]) -> Table:
    table = Table(title="milliseconds a micro-batch, one thread")
    table.add_column("stage")
    for size in budgets:
        table.add_column(f"{size} rows", justify="right")
    for stage in next(iter(budgets.values())):
        table.add_row(stage, *(f"{budget[stage]:.3f}" for budget in budgets.values()))
    return table


class _Watch:
    """CPU time of the stages of one batch, and wall time of the whole."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._inside = [0.0]

    def over(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """The function, watched."""

        def watched(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            self._inside.append(0.0)
            try:
                return function(*arguments, **named)
            finally:
                whole = time.thread_time() - began
                self.spent[stage] += whole - self._inside.pop()
                self._inside[-1] += whole

        return watched


class _Records:
    """Micro-batches of one size, as a poller hands them over."""

    def __init__(self, layout: Layout, size: int, batches: int) -> None:
        self._decoder = Decoder(layout, utc_now)
        made = records(walks(size * batches, _BREAK_RATE), size * batches)
        offsets = dict.fromkeys(_PARTITIONS, 0)
        self._polled: list[dict[Partition, list[PlainRecord]]] = []
        for start in range(0, len(made), size):
            polled: dict[Partition, list[PlainRecord]] = {}
            for key, value, _ in made[start : start + size]:
                partition = _PARTITIONS[int(key[1:]) % PARTITIONS]
                polled.setdefault(partition, []).append(PlainRecord(key, value, offsets[partition]))
                offsets[partition] += 1
            self._polled.append(polled)

    def batches(self, owner: Owner) -> Iterator[Batch | None]:
        owner.adopt(_PARTITIONS)
        return map(self._decoder.decode, self._polled)

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        """There are none."""

    def globals(self) -> Sequence[GlobalRow]:
        return ()

    def close(self) -> None:
        """Nothing is held."""


def _budget(watch: _Watch, url: str, size: int, batches: int) -> Budget:
    layout, registry, meter = Layout(load_monitor(MONITOR, {})), MemoryRegistry(), Meter()
    first_version(layout, registry)
    parts = shard_parts(layout, _ledger(url), registry, SnapshotPolicy(None, timedelta(hours=1)))
    source = _Records(layout, size, batches + _WARM_BATCHES)
    found: list[Budget] = []
    cpu, wall = time.thread_time(), time.perf_counter()
    for scored in run(source, parts.shard, parts.pipeline):
        assert scored is not None
        meter.add(scored)
        whole, watch.spent = dict(watch.spent), defaultdict(float)
        ended_cpu, ended_wall = time.thread_time(), time.perf_counter()
        whole["rest of the loop"] = ended_cpu - cpu - sum(whole.values())
        whole["all CPU"], whole["all"] = ended_cpu - cpu, ended_wall - wall
        found.append(whole)
        cpu, wall = time.thread_time(), time.perf_counter()
    kept = found[_WARM_BATCHES:]
    return {stage: 1e3 * float(np.median([each.get(stage, 0.0) for each in kept])) for stage in kept[-1]}


def _ledger(url: str) -> SqlLedger:
    engine = connect(url)
    migrate(engine)
    arguments: dict[str, Any] = {"clock": utc_now, "lease": timedelta(seconds=15), "topic_id": lambda _: "topic"}
    return SqlLedger(engine=engine, monitor="bench", cluster="c", owner="bench", **arguments)


if __name__ == "__main__":
    main()
