"""`python -m tests.bench.export`: a serving step as an exported program, and compiled, beside the network's own.

One thread of torch, in processor time; ways take turns, the median turn counts. Compiling needs a C++ compiler.
"""

import argparse
import io
import json
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.table import Table

from infra.logs import configure
from infra.settings import load_monitor
from infra.terminal import console
from schemas.layout import Layout
from trainer.export import ServingStep, exported, inputs_of
from trainer.network import Network

_SIZES = (32, 512)
_TURNS = 15
_TURN_ROWS = 2_048
"""Rows of one turn, in as many steps as that takes."""
Ways = Mapping[str, Callable[..., Any]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.export", description=__doc__)
    parser.add_argument("--monitor", default="health")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile of the program, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    configure(verbose=False)
    torch.set_num_threads(1)
    network = Network(Layout(load_monitor(arguments.monitor, {}))).eval()
    content = exported(network)
    program = torch.export.load(io.BytesIO(content)).module()
    ways: dict[str, Callable[..., Any]] = {"eager": ServingStep(network), "exported": program}
    if arguments.compile:
        ways["compiled"] = torch.compile(program, dynamic=True)
    speeds = {size: _speeds(network, ways, size) for size in _SIZES}
    table = Table("events a second", *ways, title=f"{arguments.monitor}, program of {len(content):,} bytes")
    for size, speed in speeds.items():
        table.add_row(f"B={size}", *(f"{each:,.0f} ({each / speed['eager']:.2f})" for each in speed.values()))
    console(stderr=arguments.json).print(table)
    if arguments.json:
        print(json.dumps({"monitor": arguments.monitor, "bytes": len(content), "events_per_second": speeds}))


@torch.inference_mode()
def _speeds(network: Network, ways: Ways, b: int) -> dict[str, float]:
    given = inputs_of(network, b)
    value_NS = np.random.default_rng(1).normal(size=given["value_NS"].shape)
    value_NS[np.random.default_rng(2).random(value_NS.shape) < 0.5] = np.nan
    given["value_NS"] = torch.from_numpy(value_NS)
    if "score_NR" in given:
        given["score_NR"] = torch.zeros_like(given["score_NR"])
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    steps = _TURN_ROWS // b
    for turn in range(_TURNS + 1):
        for name, step in ways.items():
            began = time.process_time()
            for _ in range(steps):
                step(**given)
            seconds[name] += [time.process_time() - began] if turn else []
    return {name: steps * b / median(turns) for name, turns in seconds.items()}


if __name__ == "__main__":
    main()
