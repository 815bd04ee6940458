"""`python -m tests.bench`: throughput, latency and memory, side by side with hand-written loops, on this machine."""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.console import Console

from infra.logs import configure
from infra.terminal import console
from ingest.producer import create_topics, publish
from tests.bench import bulk, latency
from tests.bench.report import flat, show
from tests.bench.services import Services, services
from tests.bench.stream import PARTITIONS, records, walks
from tests.bench.systems import ALL, TWO_SHARDS, System

_QUICK_EVENTS, _QUICK_SECONDS = 20_000, 5.0
_BREAK_RATE = 0.001
_LIVE = [system for system in ALL.values() if system is not TWO_SHARDS]
Measured = TypeVar("Measured")


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    out = console(stderr=arguments.json)
    count = _QUICK_EVENTS if arguments.quick else arguments.events
    seconds = _QUICK_SECONDS if arguments.quick else arguments.seconds
    chosen = [ALL[name] for name in arguments.systems]
    load = {"before": os.getloadavg()[0]}
    with services() as running:
        produced_per_s = _fill(running, count)
        out.print(f"{count} observations produced, {produced_per_s:,.0f}/s")
        if arguments.profile:
            _profile(running, count)
            return
        in_bulk = _each(chosen, lambda system: bulk.measure(system, running, count), out)
        live = [system for system in chosen if system in _LIVE] if seconds else []
        late = _each(live, lambda system: latency.measure(system, running, seconds), out)
    load["after"] = os.getloadavg()[0]
    show(out, in_bulk, late, produced_per_s, load)
    if arguments.json:
        print(json.dumps(flat(in_bulk, late, produced_per_s, load)))


def _each(systems: Sequence[System], measure: Callable[[System], Measured], out: Console) -> dict[str, Measured]:
    found = {}
    for system in systems:
        found[system.name] = measure(system)
        out.print(f"{system.name}: {found[system.name]}")
    return found


def _fill(running: Services, count: int) -> float:
    create_topics(running.bootstrap, {bulk.TOPIC: PARTITIONS, f"{bulk.TOPIC}.dlq": 1})
    published = publish(records(walks(count, _BREAK_RATE), count), running.bootstrap, bulk.TOPIC)
    return published.records / published.seconds


def _profile(running: Services, count: int) -> None:
    from tests.bench.profiled import profile

    profile(running, count)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="observations in the full topic")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each latency run; 0: none")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK_EVENTS} observations, {_QUICK_SECONDS:g} s")
    parser.add_argument("--systems", nargs="+", choices=ALL, default=list(ALL), metavar="SYSTEM", help=", ".join(ALL))
    parser.add_argument("--profile", action="store_true", help="no comparison: where one shard's time goes")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
