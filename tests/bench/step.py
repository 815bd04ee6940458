"""`python -m tests.bench.step`: single steps of the path, alone: no Kafka, no Ray. Network and training on any device.

One thread of torch. B rows, E entities, S signals, T rows of a window, H horizons.
"""

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import nn

from infra.database import connect, migrate
from infra.logs import configure
from infra.memory import MemoryRegistry
from infra.settings import load_monitor
from infra.stack.postgres import Postgres, find_programs
from infra.terminal import console
from ingest.decode import Decoder
from ingest.record import PlainRecord
from schemas.errors import StackError
from schemas.layout import Layout, no_vectors
from schemas.observation import Batch, Partition, Status
from schemas.protocols import Advance, Tally
from scorer.detector import Detector
from scorer.ledger import SqlLedger
from scorer.served import Server
from tests.bench.stream import START_MS, STEP_MS, records, walks
from tests.bench.systems import MONITOR
from trainer.learner import Learner
from trainer.losses import Targets, task_losses
from trainer.network import Network
from trainer.precision import PRECISIONS
from trainer.rows import Rows, pack, windows

_SIZES = (1, 32, 512)
_GRU_ROWS = 512
_POLL_ROWS = 2_000
_POLL_ENTITIES = 125
"""A full poll of one partition of the benchmark's topic: 2,000 rows of 125 entities, in 16 waves."""
_WINDOWS, _WINDOW_ROWS = 32, 16
Figures = dict[str, float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.step", description=__doc__)
    parser.add_argument("--device", default="cpu", help="of the network step and the training step: cpu, cuda, ...")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="of products in the training step; serving's is fixed",
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each measurement")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    configure(verbose=False)
    torch.set_num_threads(1)
    torch.set_default_device(arguments.device)
    figures = dict(rates(torch.device(arguments.device), arguments.precision, arguments.seconds))
    where = f"network on {arguments.device}, training in {arguments.precision}"
    table = Table(title=f"single steps, {where}, one thread")
    table.add_column("step")
    table.add_column("a second", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.0f}")
    console(stderr=arguments.json).print(table)
    if arguments.json:
        rounded = {name: round(value, 1) for name, value in figures.items()}
        print(json.dumps({"device": arguments.device, "precision": arguments.precision, **rounded}))


def rates(device: torch.device, precision: str, seconds: float) -> Iterator[tuple[str, float]]:
    """Rows, events or commits a second of each step; off the CPU, those of the network and of training."""
    layouts = measured_layouts()
    for name, layout in layouts.items():
        for size in _SIZES:
            yield f"{name}_network_events_B{size}", size * _rate(_network(layout, size, size, device), seconds, device)
        poll = _network(layout, _POLL_ROWS, _POLL_ENTITIES, device)
        yield f"{name}_network_events_poll", _POLL_ROWS * _rate(poll, seconds, device)
        trained = _WINDOWS * _WINDOW_ROWS * _rate(_training(layout, device, precision), seconds, device)
        yield f"{name}_training_rows", trained
        yield f"{name}_learner_rows", _POLL_ROWS * _rate(_learner(layout, device), seconds, device)
    yield "gru_cell_alone_B512", _GRU_ROWS * _rate(_gru_cell(device), seconds, device)
    if device.type != "cpu":
        return
    for name, layout in layouts.items():
        for size in _SIZES:
            yield f"{name}_detector_events_B{size}", size * _rate(_detector(layout, size, size), seconds)
        yield f"{name}_detector_events_poll", _POLL_ROWS * _rate(_detector(layout, _POLL_ROWS, _POLL_ENTITIES), seconds)
    yield "decode_events", _POLL_ROWS * _rate(_decode(layouts["six_signals"]), seconds)
    yield from _ledgers(seconds)


def measured_layouts() -> dict[str, Layout]:
    """Those of the benchmark's six signals, and of the health monitor."""
    return {"six_signals": Layout(load_monitor(MONITOR, {})), "health": Layout(load_monitor("health", {}))}


def _gru_cell(device: torch.device) -> Callable[[], object]:
    """The yardstick: torch's own cell of 64 units, nothing around it."""
    cell = nn.GRUCell(64, 64).to(device)
    rows_NX = torch.zeros(2, _GRU_ROWS, 64, device=device)
    return torch.inference_mode()(lambda: cell(*rows_NX))


def _rate(step: Callable[[], object], seconds: float, device: torch.device | None = None) -> float:
    """Calls a second, the first ones aside; what a device still works on is waited for."""
    wait: Callable[[], None] = torch.cuda.synchronize if device is not None and device.type == "cuda" else _nothing
    for _ in range(3):
        step()
    wait()
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        step()
        calls += 1
    wait()
    return calls / (time.perf_counter() - began)


def _nothing() -> None:
    """The CPU is done when a call returns."""


def _rows(layout: Layout, rows: int, entities: int) -> Rows:
    chance = np.random.default_rng(1)
    low, high = np.array([signal.range for signal in layout.signals]).T
    values = chance.uniform(low, high, (rows, len(layout.signals)))
    index = np.arange(rows) % entities
    return pack(index, values, START_MS + STEP_MS * (np.arange(rows) // entities), layout)[0]


def _network(layout: Layout, rows: int, entities: int, device: torch.device) -> Callable[[], object]:
    network = Network(layout).to(device).eval()
    packed = _rows(layout, rows, entities).to(device)
    state = network.initial(packed.waves[0])

    def step() -> None:
        nonlocal state
        with torch.inference_mode():
            _, state = network(packed, state)

    return step


def _training(layout: Layout, device: torch.device, precision: str = "float32") -> Callable[[], object]:
    """One step of AdamW on `_WINDOWS` windows of `_WINDOW_ROWS` rows: forward, all losses, backward, clip, update."""
    network = Network(layout).to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    flat = _rows(layout, _WINDOWS * _WINDOW_ROWS, _WINDOWS).value_NS.numpy()
    value_BTS = flat.reshape(_WINDOW_ROWS, _WINDOWS, -1).swapaxes(0, 1)
    time_BT = np.broadcast_to(300.0 * np.arange(_WINDOW_ROWS), (_WINDOWS, _WINDOW_ROWS))
    rows = windows(value_BTS, time_BT).to(device)
    state = network.initial(rows.waves[0])
    targets = _targets(layout, rows)

    def step() -> None:
        optimiser.zero_grad()
        outputs, _ = network(rows, state, precision=PRECISIONS[precision])
        losses = [task.mean() for task in task_losses(outputs, targets, layout)]
        torch.stack(losses).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()

    return step


def _learner(layout: Layout, device: torch.device) -> Callable[[], object]:
    """A trainer's work on a poll: rows into windows, as many steps as those make, the version that serves beside."""
    with torch.device("cpu"):  # what waits is there
        learner = Learner(layout, 0, MemoryRegistry(), device=device)
    low, high = np.array([signal.range for signal in layout.signals]).T
    chance, row = np.random.default_rng(1), np.arange(_POLL_ROWS)
    values = chance.uniform(low, high, (_POLL_ROWS, len(layout.signals)))
    first = Batch(
        entity=[f"e{each}" for each in row % _POLL_ENTITIES],
        time_ms=START_MS + STEP_MS * (row // _POLL_ENTITIES),
        values=values,
        partition=np.zeros(_POLL_ROWS, dtype=np.int64),
        offset=row,
        status=np.full(_POLL_ROWS, Status.OK, dtype=np.uint8),
        masked=np.zeros(_POLL_ROWS, dtype=np.bool_),
        partitions=(Partition("bench", 0),),
        next_offsets=(_POLL_ROWS,),
        vectors=no_vectors(layout, _POLL_ROWS),
    )
    polls = itertools.count()

    def step() -> None:
        poll = next(polls)
        later = STEP_MS * poll * _POLL_ROWS // _POLL_ENTITIES
        with torch.device("cpu"):
            learner.observe(replace(first, time_ms=first.time_ms + later, offset=first.offset + poll * _POLL_ROWS))

    return step


def _targets(layout: Layout, rows: Rows) -> Targets:
    n, horizons = len(rows.time_N), len(layout.forecast.horizons)
    return Targets(
        future_NSH=rows.value_NS[:, : layout.n_targets, None].expand(-1, -1, horizons),
        faulty_N=(torch.arange(n) % 3 == 0).float(),
        classes=tuple(torch.arange(n) % len(names) for names in layout.classes.values()),
        known_N=rows.real_N,
    )


def _detector(layout: Layout, rows: int, entities: int) -> Callable[[], object]:
    detector, network, packed = Detector(layout), Network(layout).eval(), _rows(layout, rows, entities)
    initial = {name: value.numpy() for name, value in network.initial(packed.waves[0]).items()}
    served = Server(layout).serve(network, packed, initial)
    state = detector.initial(packed.waves[0])

    def step() -> None:
        nonlocal state
        _, state = detector.scan(served, state)

    return step


def _decode(layout: Layout) -> Callable[[], object]:
    made = records(walks(_POLL_ROWS, 0.001), _POLL_ROWS)
    arrived = [PlainRecord(key, value, offset) for offset, (key, value, _) in enumerate(made)]
    decoder = Decoder(layout, _now)
    return lambda: decoder.decode({Partition("bench", 0): arrived})


def _ledgers(seconds: float) -> Iterator[tuple[str, float]]:
    """Transactions a second that advance four partitions and hold no alert; PostgreSQL only where it is installed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bellwether-bench-")))
        folder.chmod(0o711)  # the account that runs PostgreSQL for root must enter it
        yield "ledger_commits_sqlite", _rate(_ledger(f"sqlite:///{folder / 'ledger.db'}"), seconds)
        try:
            find_programs()
        except StackError:
            return
        server = stack.enter_context(Postgres(folder / "postgres"))
        yield "ledger_commits_postgresql", _rate(_ledger(server.url), seconds)


def _ledger(url: str) -> Callable[[], object]:
    engine = connect(url)
    migrate(engine)
    arguments: dict[str, Any] = {"clock": _now, "lease": timedelta(seconds=15), "topic_id": lambda _: "topic"}
    ledger = SqlLedger(engine=engine, monitor="bench", cluster="c", owner="bench", **arguments)
    partitions = [Partition("bench", number) for number in range(4)]
    for partition in partitions:
        ledger.acquire(partition)
    offset = 0

    def step() -> None:
        nonlocal offset
        tally = Tally(accepted=500)
        ledger.commit([], [Advance(each, offset, offset + 500, tally, 1) for each in partitions])
        offset += 500

    return step


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
