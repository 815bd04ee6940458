"""`python -m tests.bench.quality`: all parts, or some, with the machine's load beside the figures."""

import argparse
import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console

from infra.logs import configure
from infra.terminal import console as wide
from tests.bench.quality import __doc__ as description
from tests.bench.quality.aim import Aim, aims_of
from tests.bench.quality.part import Part, Runs
from tests.bench.quality.parts import PARTS
from tests.bench.quality.table import Measured, against_aims, pooled, show
from tests.bench.report import machine
from tests.bench.shared import shared_data

_SEEDS = 3
_QUICK = " (QUICK: a small part of the data, figures are not comparable)"


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    torch.set_num_threads(1)
    console = wide(stderr=arguments.json)
    arguments.out.mkdir(parents=True, exist_ok=True)
    load = {"before": os.getloadavg()[0]}
    parts = {name: PARTS[name] for name in arguments.part or PARTS}
    measured, aims = _measured(console, parts, Runs(arguments.out, shared_data(), arguments.quick), arguments.seeds)
    load["after"] = os.getloadavg()[0]
    console.print(f"All figures that have an aim, mean ± deviation{_QUICK * arguments.quick}:")
    console.print(against_aims(measured, aims))
    console.print(f"load average before {load['before']:.1f}, after {load['after']:.1f}, {os.cpu_count()} CPUs")
    if arguments.json:
        told = {"quick": arguments.quick, "seeds": arguments.seeds, **measured.figures, "spread": measured.spread}
        reached = {metric: aim.reached(measured.figures[metric]) for metric, aim in aims.items()}
        print(json.dumps({**told, "reached": reached, "load": load, "machine": machine()}))


def _measured(console: Console, parts: Mapping[str, Part], runs: Runs, seeds: int) -> tuple[Measured, dict[str, Aim]]:
    """All figures, and the aims that some have; each part is printed as soon as it is done."""
    left = {name: part.minutes * len(runs.missing(name, part, seeds)) for name, part in parts.items()}
    console.print(f"figures go to {runs.folder}; broken off, go on with --out {runs.folder}")
    console.print(f"{len(parts)} parts{_QUICK if runs.quick else f', about {sum(left.values()):.0f} min'}")
    measured, aims = Measured({}), dict[str, Aim]()
    for name, part in parts.items():
        wait = "" if runs.quick else f", about {left.pop(name):.0f} min"
        console.print(f"{name}: {part.said(seeds)}{wait}")
        began = time.perf_counter()
        found = pooled([runs.of(name, part, seed) for seed in range(part.runs(seeds))])
        aims |= aims_of(part.aims, name, found.figures)
        measured |= found
        show(console, found, aims)
        wait = "" if runs.quick else f"; about {sum(left.values()):.0f} min left"
        console.print(f"{name}: done in {(time.perf_counter() - began) / 60:.1f} min{wait}")
    return measured, aims


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.quality", description=description)
    parser.add_argument("--part", action="append", choices=PARTS, help="this part alone; may be given several times")
    parser.add_argument(
        "--seeds",
        type=int,
        help=f"runs of each part that chance plays in: means and deviations. Default: {_SEEDS}, quick 1",
    )
    parser.add_argument("--quick", action="store_true", help="a small part of the data: figures are not comparable")
    fresh = Path(".bellwether") / "quality" / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}"
    parser.add_argument(
        "--out",
        type=Path,
        default=fresh,
        help="folder of the figures, a file a run; a run whose file is there is not run again. Default: a new one",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    if arguments.seeds is None:
        arguments.seeds = 1 if arguments.quick else _SEEDS
    return arguments


if __name__ == "__main__":
    main()
