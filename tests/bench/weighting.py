"""`python -m tests.bench.weighting`: what each way of weighting tasks adds to a training step, side by side.

Processor time of one thread, mean over steps in which all take turns. Backward: from the losses to `.grad`. Step:
forward, losses, backward, clip, AdamW, and what the method learns. `plain` is the backward pass of a sum; `torchjd` its
own Jacobian descent by UPGrad, which passes every task through the whole network. Methods that read gradients stand
twice: as configured by default, and looking at them in every step. With `--ranks N` so many processes learn together:
then both are wall time, a backward pass ends with the average of `.grad` over gloo, and methods pool what they read.

B windows, T rows of a window, K tasks.
"""

import argparse
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from rich.table import Table
from torch import Tensor, distributed, multiprocessing, nn
from torch.distributed import ProcessGroup
from torchjd.aggregation import UPGrad
from torchjd.autojac import backward as jacobian_backward
from torchjd.autojac import jac_to_grad

from infra.settings import load_monitor
from infra.terminal import console
from schemas.components import TrainingSettings
from schemas.layout import Layout
from tests.bench.systems import MONITOR
from trainer.encoder import Encoded
from trainer.losses import Targets, TaskLoss, task_losses
from trainer.network import Network
from trainer.rows import Rows, windows
from trainer.weighting.conflict import Projector
from trainer.weighting.evidence import Setting
from trainer.weighting.methods import WEIGHTINGS
from trainer.weighting.ranks import pool_gradients
from trainer.weighting.task_weighting import TaskWeighting

_WINDOWS, _ROWS = 32, 16
_DEPTH = 6
_WARM_UP = 4
NETWORKS = ("six_signals", "health", "health_deep")
_FILE = "figures.json"
Judge = Callable[[], list[TaskLoss]]
Backward = Callable[[list[TaskLoss], Tensor, list[Tensor]], Callable[[Judge], None]]
"""(losses, representation, weights) -> what is to be done after the update, given a way to judge the rows again."""
Milliseconds = tuple[float, float]
"""(backward, step)."""


class DeepEncoder(nn.Module):
    """An encoder with residual layers after it: a trunk that outweighs what is behind it."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        layers = (
            nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)) for _ in range(_DEPTH)
        )
        self.layers = nn.ModuleList(layers)

    def forward(self, *inputs: object) -> Encoded:
        encoded = self.encoder(*inputs)
        token_MND = encoded.token_MND
        for layer in self.layers:
            token_MND = token_MND + layer(token_MND)
        return dataclasses.replace(encoded, token_MND=token_MND)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.weighting", description=__doc__)
    parser.add_argument("--rounds", type=int, default=64, help="measured steps of each, a multiple of 8")
    parser.add_argument("--ranks", type=int, default=1, help="processes of one thread that learn together")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    figures = milliseconds(arguments.rounds, arguments.ranks)
    out = console(stderr=arguments.json)
    for name, found in figures.items():
        out.print(_table(name, found))
    load = os.getloadavg()[0]
    out.print(f"load average {load:.1f} on {os.cpu_count()} processors")
    if arguments.json:
        print(json.dumps({"load": load, "milliseconds": figures}))


def milliseconds(rounds: int, ranks: int, networks: Sequence[str] = NETWORKS) -> dict[str, dict[str, Milliseconds]]:
    """Network -> way of weighting -> what it takes."""
    if ranks == 1:
        return _figures(rounds, networks, None)
    with tempfile.TemporaryDirectory(prefix="bellwether-weighting-") as folder:
        multiprocessing.spawn(_rank, (ranks, Path(folder), rounds, networks), nprocs=ranks)
        found: dict[str, dict[str, Milliseconds]] = json.loads((Path(folder) / _FILE).read_text(encoding="utf-8"))
    return found


def _rank(rank: int, ranks: int, folder: Path, rounds: int, networks: Sequence[str]) -> None:
    """One process of several; the first one's figures are kept."""
    distributed.init_process_group("gloo", f"file://{folder / 'meet'}", rank=rank, world_size=ranks)
    found = _figures(rounds, networks, distributed.group.WORLD)
    if rank == 0:
        (folder / _FILE).write_text(json.dumps(found), encoding="utf-8")
    distributed.destroy_process_group()


def _figures(rounds: int, networks: Sequence[str], group: ProcessGroup | None) -> dict[str, dict[str, Milliseconds]]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return {name: _measure(*made, rounds, group) for name, made in _networks().items() if name in networks}


def _networks() -> dict[str, tuple[Layout, Network]]:
    bench, health = Layout(load_monitor(MONITOR, {})), Layout(load_monitor("health", {}))
    deep = Network(health)
    deep.trunk.encoder = DeepEncoder(deep.trunk.encoder, health.monitor.model.width)
    return dict(zip(NETWORKS, ((bench, Network(bench)), (health, Network(health)), (health, deep)), strict=True))


def _measure(layout: Layout, network: Network, rounds: int, group: ProcessGroup | None) -> dict[str, Milliseconds]:
    rows, targets = _lesson(layout)
    tasks = [layout.forecast, layout.anomaly, *layout.states, *layout.events]
    ways: dict[str, Backward] = {"plain": _plain}
    for name in WEIGHTINGS:
        settings = TrainingSettings.model_validate({"weighting": name})
        ways[name] = _weighted(TaskWeighting(tasks, settings, 0, group))
    setting = Setting(len(tasks), 1.0, torch.Generator())
    for name in (name for name, make in WEIGHTINGS.items() if make(setting).reads_gradients):
        settings = TrainingSettings.model_validate({"weighting": name, "gradients_every": 1})
        ways[f"{name}, every step"] = _weighted(TaskWeighting(tasks, settings, 0, group))
    ways["torchjd"] = _jacobian
    steps = {name: _step(layout, network, rows, targets, backward, group) for name, backward in ways.items()}
    taken = [{name: step() for name, step in steps.items()} for _ in range(rounds + _WARM_UP)][_WARM_UP:]
    return {name: (_mean(taken, name, 0), _mean(taken, name, 1)) for name in ways}


def _mean(taken: Sequence[dict[str, Milliseconds]], name: str, part: int) -> float:
    return round(fmean(each[name][part] for each in taken), 3)


def _lesson(layout: Layout) -> tuple[Rows, Targets]:
    low, high = np.array([signal.range for signal in layout.signals]).T
    value_BTS = np.random.default_rng(1).uniform(low, high, (_WINDOWS, _ROWS, len(low)))
    rows = windows(value_BTS, np.broadcast_to(300.0 * np.arange(_ROWS), (_WINDOWS, _ROWS)))
    n = len(rows.time_N)
    targets = Targets(
        future_NSH=rows.value_NS[:, : layout.n_targets, None].expand(-1, -1, len(layout.forecast.horizons)),
        faulty_N=(torch.arange(n) % 3 == 0).float(),
        classes=tuple(torch.arange(n) % len(names) for names in layout.classes.values()),
        known_N=rows.real_N,
    )
    return rows, targets


def _step(
    layout: Layout, network: Network, rows: Rows, targets: Targets, backward: Backward, group: ProcessGroup | None
) -> Callable[[], Milliseconds]:
    weights = list(network.train().parameters())
    optimiser = torch.optim.AdamW(weights, lr=1e-3)
    state = network.initial(rows.waves[0])
    clock = time.process_time if group is None else time.perf_counter

    def judge() -> list[TaskLoss]:
        with torch.no_grad():
            return task_losses(network(rows, state)[0], targets, layout)

    def step() -> Milliseconds:
        optimiser.zero_grad(set_to_none=True)
        began = clock()
        outputs, _ = network(rows, state)
        losses = task_losses(outputs, targets, layout)
        forward = clock()
        after = backward(losses, outputs.shared, weights)
        pool_gradients(weights, group)
        passed = clock()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        after(judge)
        return 1e3 * (passed - forward), 1e3 * (clock() - began)

    return step


def _weighted(weighting: TaskWeighting) -> Backward:
    def backward(losses: list[TaskLoss], shared: Tensor, weights: list[Tensor]) -> Callable[[Judge], None]:
        weighed = weighting.backward(losses, shared, weights)
        return lambda judge: weighting.learn(weighed, judge)

    return backward


def _plain(losses: list[TaskLoss], shared: Tensor, weights: list[Tensor]) -> Callable[[Judge], None]:
    torch.stack([each.mean() for each in losses]).sum().backward()
    return lambda judge: None


def _jacobian(losses: list[TaskLoss], shared: Tensor, weights: list[Tensor]) -> Callable[[Judge], None]:
    jacobian_backward([each.mean() for each in losses], inputs=weights)
    jac_to_grad(weights, UPGrad(projector=Projector()))
    return lambda judge: None


def _table(name: str, found: dict[str, Milliseconds]) -> Table:
    table = Table(title=f"{name}: {_WINDOWS} windows of {_ROWS} rows")
    for column in ("weighting", "backward, ms", "of plain", "step, ms", "of plain"):
        table.add_column(column, justify="left" if column == "weighting" else "right")
    backward, step = found["plain"]
    for way, (its_backward, its_step) in found.items():
        ratios = f"{its_backward / backward:.2f}", f"{its_step / step:.2f}"
        table.add_row(way, f"{its_backward:.2f}", ratios[0], f"{its_step:.2f}", ratios[1])
    return table


if __name__ == "__main__":
    main()
