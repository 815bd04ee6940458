"""`python -m tests.bench.residuals`: what the forecast's residuals are worth to the anomaly head.

The same network is fitted on the same history, with the same injected faults, as it is and with the residuals hidden
from its anomaly heads: their values are zero, and which signals came stays to be seen. Both are judged after their last
epoch on what was kept aside, with faults of several draws. Withheld: the network as it was fitted, from which they are
hidden when it is judged alone. Differences, hidden less as it is, are by seed; a task is a loss (1 = knowing nothing),
AUPRC of a random score the share of faulty rows. The network detaches residuals from the forecast, so that no
gradient of the anomaly task reaches the forecast's head through them: other tasks may differ by the shared trunk alone.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np
import torch
from rich.table import Table
from torch import Tensor, nn

from infra.backtest.auto import auto_columns, auto_monitor
from infra.fitting.options import FitOptions
from infra.fitting.read import History, layout_of, read_history
from infra.logs import configure
from infra.terminal import console
from schemas.layout import Layout
from tests.bench.report import machine
from tests.bench.shared import shared_data
from tests.converters import ett, icu
from trainer.chapter import chapter_of
from trainer.fit import Fit, meet
from trainer.losses import task_losses
from trainer.metrics import metrics_of
from trainer.network import Network

_KEPT = 0.3
"""Share of the stays, of ETT of the rows, that judge."""
_HORIZONS = (1, 24)
"""Of ETT's forecasts."""
_DRAWS = 8
"""Of the faults that are judged: what only one says of AUPRC is mostly luck."""
_DATA = ("icu", "ett")
_WAYS = ("as it is", "hidden", "withheld")
Figures = Mapping[str, float]
Found = Mapping[str, Sequence[Figures]]
"""Way -> figures of each seed."""


@dataclass(frozen=True, slots=True)
class Domain:
    """What is fitted on, and judged."""

    name: str
    layout: Layout
    history: History


def main() -> None:
    """Fit, judge, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.residuals", description=__doc__)
    parser.add_argument("--data", nargs="+", choices=_DATA, default=list(_DATA))
    parser.add_argument("--stays", type=int, default=300, help="of ICU 2012, those that judge included")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    configure(verbose=False)
    torch.set_num_threads(1)
    out = console(stderr=arguments.json)
    load, began = {"before": os.getloadavg()[0]}, time.process_time()
    found = {}
    with tempfile.TemporaryDirectory(prefix="bellwether-residuals-") as name:
        for word in arguments.data:
            domain = _domain(word, Path(name), arguments.stays, arguments.epochs)
            seeds = [_seed(domain, seed) for seed in range(arguments.seeds)]
            found[domain.name] = {way: [each[way] for each in seeds] for way in _WAYS}
            out.print(_table(domain, found[domain.name]))
    load["after"] = os.getloadavg()[0]
    out.print(
        f"{time.process_time() - began:.0f} s of processor time; "
        f"load average before {load['before']:.1f}, after {load['after']:.1f}, {os.cpu_count()} CPUs"
    )
    if arguments.json:
        print(json.dumps({**found, "load": load, "machine": machine()}))


def _domain(word: str, folder: Path, stays: int, epochs: int) -> Domain:
    if word == "icu":
        file = icu.convert(shared_data(), folder, stays)
        layout, outcomes = layout_of(FitOptions("health", (file,), icu.outcomes(shared_data(), folder, file)))
        layout = _short(layout, epochs)
        return Domain(f"ICU 2012, {stays} stays", layout, read_history((file,), layout, outcomes, 0))
    files = ett.convert(shared_data(), folder)
    layout = _short(Layout(auto_monitor(auto_columns(files).signals, _HORIZONS)), epochs)
    return Domain("ETTh1 and ETTh2", layout, read_history(files, layout, (), 0))


def _short(layout: Layout, epochs: int) -> Layout:
    fitting = layout.monitor.fitting.model_copy(update={"epochs": epochs, "validation": _KEPT})
    return Layout(layout.monitor.model_copy(update={"fitting": fitting}))


def _seed(domain: Domain, seed: int) -> dict[str, Figures]:
    """What each way came to; both start from the same weights and see the same faults."""
    free, blind = _network(domain.layout, seed), _network(domain.layout, seed)
    _hide(blind)
    for network in (free, blind):
        _fit(network, domain, seed)
    found = {"as it is": _judged(free, domain), "hidden": _judged(blind, domain)}
    _hide(free)
    return found | {"withheld": _judged(free, domain)}


def _network(layout: Layout, seed: int) -> Network:
    model = layout.monitor.model.model_copy(update={"seed": seed})
    return Network(Layout(layout.monitor.model_copy(update={"model": model})))


def _hide(network: Network) -> None:
    """From now on its anomaly heads read residuals of zero."""
    for heads in (network, network.private):
        if heads is not None:
            heads.anomaly.register_forward_pre_hook(_without_residuals)


def _without_residuals(_: nn.Module, given: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    hidden_ND, residual_NS = given
    return hidden_ND, torch.where(residual_NS.isnan(), residual_NS, 0.0)


def _fit(network: Network, domain: Domain, seed: int) -> None:
    layout, history = domain.layout, domain.history
    meet(network, history.streams)
    fit = Fit(network, layout, history.learned(layout), history.judged(layout), seed)
    for _ in range(layout.monitor.fitting.epochs):
        fit.epoch()


@torch.inference_mode()
def _judged(network: Network, domain: Domain) -> Figures:
    """Means over draws: share of faulty rows, how the anomaly head ranks rows, every task's loss.

    And is the anomaly task served by its private path?
    """
    network.eval()
    layout, found = domain.layout, []
    pieces = domain.history.judged(layout)
    for draw in range(_DRAWS):
        chapter = chapter_of(pieces, layout, np.random.default_rng(draw))
        outputs, _ = network(chapter.rows, chapter.start(network))
        metrics = metrics_of(outputs, chapter.targets, layout)
        ranking = {name.upper(): metrics[f"{layout.anomaly.name}.{name}"] for name in ("auprc", "auroc")}
        losses = {each.task: float(each.mean()) for each in task_losses(outputs, chapter.targets, layout)}
        faulty = float(chapter.targets.faulty_N.sum() / chapter.targets.known_N.sum())
        found.append({"faulty rows": faulty} | ranking | losses)
    private = float(network.detached[layout.tasks.index(layout.anomaly)])
    return {name: fmean(each[name] for each in found) for name in found[0]} | {"served apart": private}


def _table(domain: Domain, found: Found) -> Table:
    learned = sum(map(len, domain.history.streams))
    judged = sum(len(stream) - first for stream, first in domain.history.kept)
    epochs = domain.layout.monitor.fitting.epochs
    title = f"{domain.name}, {epochs} epochs of {learned:,} rows, {judged:,} judged\nmean (spread over seeds)"
    table = Table(title=title, pad_edge=False)
    for name in ("", "as it is", "hidden", "difference", "withheld"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for figure in found["as it is"][0]:
        free, blind, withheld = ([seed[figure] for seed in found[way]] for way in _WAYS)
        apart = [after - before for before, after in zip(free, blind, strict=True)]
        table.add_row(figure, _cell(free), _cell(blind), _cell(apart, "+"), _cell(withheld))
    return table


def _cell(seeds: Sequence[float], sign: str = "") -> str:
    return f"{fmean(seeds):{sign}.3f} ({pstdev(seeds):.3f})"


if __name__ == "__main__":
    main()
