"""`python -m tests.bench.quality`: all parts, or one, with the machine's load beside the figures."""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console

from infra.logs import configure
from tests.bench.quality import __doc__ as description
from tests.bench.quality import faults, forecast, icu, nab, servers
from tests.bench.quality.table import Figures, pooled, show
from tests.bench.report import machine
from tests.bench.shared import shared_data

_PARTS = {
    "nab": nab.measure,
    "faults": faults.measure,
    "servers": servers.measure,
    "forecast": forecast.measure,
    "icu": icu.measure,
}


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    torch.set_num_threads(1)
    console = Console(stderr=arguments.json, highlight=False)
    shared = shared_data()
    load = {"before": os.getloadavg()[0]}
    figures: Figures = {}
    spread: Figures = {}
    for name in [arguments.part] if arguments.part else _PARTS:
        began = time.perf_counter()
        runs = []
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory(prefix="bellwether-quality-") as folder:
                runs.append(_PARTS[name](shared, Path(folder), seed, quick=arguments.quick))
        found, around = pooled(runs)
        show(console, found, around)
        console.print(f"{name}: {time.perf_counter() - began:.0f} s{' (quick: a part of the data)' * arguments.quick}")
        figures |= found
        spread |= around
    load["after"] = os.getloadavg()[0]
    console.print(f"load average before {load['before']:.1f}, after {load['after']:.1f}, {os.cpu_count()} CPUs")
    if arguments.json:
        told = {"quick": arguments.quick, "seeds": arguments.seeds, **figures, "spread": spread}
        print(json.dumps({**told, "load": load, "machine": machine()}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.quality", description=description)
    parser.add_argument("--part", choices=_PARTS, help="one part alone")
    parser.add_argument("--seeds", type=int, default=1, help="so many runs of each part: means and deviations")
    parser.add_argument("--quick", action="store_true", help="a part of the data: figures are not comparable")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
