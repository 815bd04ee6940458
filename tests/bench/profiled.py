"""Where one shard's time goes: the service in this process, without Ray, under cProfile."""

import cProfile
import pstats
import threading
import time
from dataclasses import dataclass

import psycopg
import torch
from rich.console import Console
from rich.table import Table

from infra.assembly import first_version, registry_of
from infra.database import connect, migrate
from infra.shard_service import ShardService
from infra.terminal import console
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.bench.bulk import TOPIC
from tests.bench.services import Services, libpq
from tests.bench.systems import BELLWETHER, described

_LOOK_SECONDS = 0.1
_TOP = 30


@dataclass(frozen=True, slots=True)
class Part:
    """A step of the path and the function that is it; `depth` indents what is inside another."""

    name: str
    file: str
    function: str
    depth: int = 0


_PARTS = (
    Part("wait for the poller", "ingest/exchange.py", "take"),
    Part("decode", "ingest/decode.py", "decode"),
    Part("score", "scorer/scorer.py", "score"),
    Part("slots", "scorer/scorer.py", "_slots", 1),
    Part("admission", "scorer/scorer.py", "_admit", 1),
    Part("pack", "trainer/rows.py", "pack", 1),
    Part("gather", "scorer/store.py", "gather", 1),
    Part("scatter", "scorer/store.py", "scatter", 1),
    Part("serve", "scorer/served.py", "serve", 1),
    Part("statistics", "trainer/statistics.py", "observe", 2),
    Part("encoder", "trainer/encoder.py", "forward", 2),
    Part("fusion", "trainer/fusion.py", "forward", 2),
    Part("heads", "trainer/heads.py", "forward", 2),
    Part("detector", "scorer/detector.py", "scan", 1),
    Part("rules", "trainer/rules.py", "score", 1),
    Part("decide", "scorer/stages/pipeline.py", "decide"),
    Part("dead letters", "scorer/shard.py", "refused"),
    Part("commit", "scorer/shard.py", "commit"),
    Part("snapshots", "scorer/store.py", "snapshot", 1),
    Part("transaction", "scorer/ledger.py", "commit", 1),
    Part("look for a newer model", "scorer/shard.py", "follow"),
)


def profile(services: Services, count: int) -> None:
    """Let one shard account for the topic twice, plainly and under cProfile, and print where its time went."""
    out = console()
    for profiler in (None, cProfile.Profile()):
        service, database = _service(services, "plain" if profiler is None else "profiled")
        watcher = threading.Thread(target=_stop_at, args=(service, database, count), daemon=True)
        began, thread, whole = time.perf_counter(), time.thread_time(), time.process_time()
        watcher.start()
        if profiler is None:
            service.serve()
        else:
            profiler.runcall(service.serve)
        scoring, whole = time.thread_time() - thread, time.process_time() - whole
        rate = count / (time.perf_counter() - began)
        out.print(f"{rate:,.0f} events/s, joining the group included; {'profiled' if profiler else 'plain'}")
        out.print(f"CPU-seconds: scoring thread {scoring:.2f}, poller and other threads {whole - scoring:.2f}")
        if profiler is not None:
            _print_parts(out, pstats.Stats(profiler), count)


def _service(services: Services, name: str) -> tuple[ShardService, str]:
    torch.set_num_threads(1)
    database = services.fresh_database(f"profile_{name}")
    settings = described(services, TOPIC, database)
    settings["kafka"]["group_id"] = f"profile-{name}"
    settings["database"]["directory"] += f"-{name}"
    monitor = Monitor.model_validate(settings)
    engine = connect(database)
    migrate(engine)
    first_version(Layout(monitor), registry_of(monitor, engine))
    return ShardService(monitor, 0), database


def _stop_at(service: ShardService, database: str, count: int) -> None:
    with psycopg.connect(libpq(database), autocommit=True) as connection:
        while True:
            row = connection.execute(BELLWETHER.progress.encode()).fetchone()
            if row and int(row[0]) >= count:
                break
            time.sleep(_LOOK_SECONDS)
    service.stop()


def _print_parts(out: Console, stats: pstats.Stats, count: int) -> None:
    measured = stats.stats  # type: ignore[attr-defined]
    whole = sum(row[2] for row in measured.values())
    table = Table(title="scoring thread, cumulative wall time under cProfile")
    for column in ("part", "seconds", "share", "us an event", "calls"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for part in _PARTS:
        rows = [row for (file, _, name), row in measured.items() if file.endswith(part.file) and name == part.function]
        seconds, calls = sum(row[3] for row in rows), sum(row[1] for row in rows)
        cells = [f"{seconds:.2f}", f"{seconds / whole:.1%}", f"{seconds / count * 1e6:.1f}", str(calls)]
        table.add_row("  " * part.depth + part.name, *cells)
    out.print(table)
    stats.sort_stats("tottime").print_stats(_TOP)
