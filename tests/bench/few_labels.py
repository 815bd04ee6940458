"""`python -m tests.bench.few_labels`: death in hospital from few labelled stays. Does learning without labels help?

ICU 2012. Some stays are learned from, 1,500 others are judged once, after their first hours. A share of those learned
from is labelled, drawn anew with each seed. All networks take equally many epochs and serve the
last: few labels leave none to choose an epoch by. Labels only: every other task weighs nothing. Ordinary: `bellwether
train`, whose other tasks learn from all stays throughout. Pretrained: half of the epochs without labels, with hidden
values, before the others. The baselines read the same running statistics of the labelled stays.
"""

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from infra.fitting.options import FitOptions
from infra.fitting.read import layout_of, read_history
from infra.logs import configure
from infra.metrics.anomaly import auroc
from infra.terminal import console
from schemas.components import ModelSettings
from schemas.layout import Layout
from schemas.observation import Float64, Int64
from schemas.task import TaskKind
from tests.bench.shared import shared_data
from tests.converters import icu
from trainer.fit import Fit, meet
from trainer.history import Stream, pieces_of
from trainer.network import Network
from trainer.pretraining import pretrain
from trainer.rows import Rows, pack

_SHARES = (0.05, 0.1, 0.25, 1.0)
_JUDGED = 0.375
"""Of all 4,000 stays."""
_PIECES = 24
"""Per step: with their copies just below 32 rows a wave, so that few stays still are many steps."""
_SURE = 1e-4
"""No probability counts as surer than this."""
_WAYS = ("labels only", "ordinary", "pretrained", "logistic", "boosting")
Figures = Mapping[str, float]
Curves = dict[str, dict[float, Figures]]
"""Way -> share of labels -> figures."""


@dataclass(frozen=True, slots=True)
class Ward:
    """What everyone learns from, and is judged on.

    Attributes:
        layout: the health monitor, and death.
        learned: all of them labelled.
        judged: none of which is learned from.
        epochs: that a network takes in all.
    """

    layout: Layout
    learned: Sequence[Stream]
    judged: Sequence[Stream]
    epochs: int


def main() -> None:
    """Fit, judge, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.few_labels", description=__doc__)
    parser.add_argument("--stays", type=int, default=600, help="learned from")
    parser.add_argument("--hours", type=int, default=12, help="of a stay that anyone sees")
    parser.add_argument("--epochs", type=int, default=6, help="of each network, pretraining included")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    configure(verbose=False)
    torch.set_num_threads(1)
    began = time.process_time()
    with tempfile.TemporaryDirectory(prefix="bellwether-bench-") as name:
        ward = _ward(Path(name), arguments.stays, arguments.hours, arguments.epochs)
    progress, out = Console(stderr=True, soft_wrap=True), console(stderr=arguments.json)
    found = [_curves(ward, seed, progress) for seed in range(arguments.seeds)]
    progress.print(f"{time.process_time() - began:.0f} s of processor time")
    told = f"{arguments.stays} stays learned from, {len(ward.judged)} judged after {arguments.hours} h"
    for figure, title in (("auroc", "AUROC"), ("log_loss", "log loss")):
        out.print(_table(figure, f"{title}, mean (spread over seeds): {told}", found))
    if arguments.json:
        print(json.dumps(found))


def _ward(folder: Path, stays: int, hours: int, epochs: int) -> Ward:
    """All see the first hours of stays alone; a stay whose outcome is not on record is left out."""
    file = icu.convert(shared_data(), folder)
    layout, outcomes = layout_of(FitOptions("health", (file,), icu.outcomes(shared_data(), folder, file)))
    settings = {"epochs": epochs, "pretrain": epochs // 2, "validation": _JUDGED, "pieces_per_step": _PIECES}
    fitting = layout.monitor.fitting.model_copy(update=settings)
    # What is private has no part in any of this, and costs time.
    model = layout.monitor.model.model_copy(update={"private": 0})
    layout = Layout(layout.monitor.model_copy(update={"fitting": fitting, "model": model}))
    history = read_history((file,), layout, outcomes, 0)
    first = np.random.default_rng(0).permutation(len(history.streams))
    learned = [_beginning(history.streams[place], hours) for place in first.tolist()]
    judged = [_beginning(stream, hours) for stream, _ in history.kept]
    return Ward(layout, _told(learned)[:stays], _told(judged), epochs)


def _beginning(stream: Stream, hours: int) -> Stream:
    return stream.until(int(np.searchsorted(stream.time_ms, stream.time_ms[0] + hours * 3_600_000, side="right")))


def _told(streams: Sequence[Stream]) -> list[Stream]:
    return [each for each in streams if each.classes[0, -1] >= 0]


def _died(streams: Sequence[Stream]) -> Float64:
    return np.array([float(each.classes[0, -1]) for each in streams])


def _curves(ward: Ward, seed: int, progress: Console) -> Curves:
    """One seed: every way at every share."""
    labelled = np.random.default_rng(seed).permutation(len(ward.learned))
    whole = Layout(ward.layout.monitor.model_copy(update={"model": _seeded(ward.layout, seed)}))
    before = _pretrained(ward, whole, seed)
    network = Network(whole)
    learned_NF, judged_NF = (_statistics(network, each) for each in (ward.learned, ward.judged))
    found: Curves = {way: {} for way in _WAYS}
    for share in _SHARES:
        mine = labelled[: round(share * len(labelled))]
        streams = [each if place in set(mine.tolist()) else _silent(each) for place, each in enumerate(ward.learned)]
        few = [ward.learned[place] for place in mine.tolist()]
        networks = {
            "labels only": _fitted(ward, Network(_death_alone(whole)), few, ward.epochs, seed),
            "ordinary": _fitted(ward, Network(whole), streams, ward.epochs, seed),
            "pretrained": _fitted(ward, copy.deepcopy(before), streams, ward.epochs - ward.epochs // 2, seed),
        }
        said = {way: _foreseen(each, ward.judged) for way, each in networks.items()}
        died, seen = _died(few), ~np.isnan(learned_NF[mine]).all(0)
        for way, model in _baselines().items():
            said[way] = model.fit(learned_NF[mine][:, seen], died).predict_proba(judged_NF[:, seen])[:, 1]
        for way, probability in said.items():
            found[way][share] = _figures(probability, _died(ward.judged))
        told = "  ".join(f"{way} {found[way][share]['auroc']:.3f}" for way in _WAYS)
        progress.print(f"seed {seed}, {share:.0%} labelled, {int(died.sum())} of whom died: {told}")
    return found


def _seeded(layout: Layout, seed: int) -> ModelSettings:
    return layout.monitor.model.model_copy(update={"seed": seed})


def _death_alone(layout: Layout) -> Layout:
    tasks = tuple(
        task if task.kind is TaskKind.EVENT else task.model_copy(update={"weight": 0.0})
        for task in layout.monitor.tasks
    )
    return Layout(layout.monitor.model_copy(update={"tasks": tasks}))


def _silent(stream: Stream) -> Stream:
    """A stay of which nobody says what became of it."""
    return replace(stream, classes=np.full_like(stream.classes, -1))


def _pretrained(ward: Ward, layout: Layout, seed: int) -> Network:
    network = Network(layout)
    meet(network, ward.learned)
    for _ in pretrain(network, layout, pieces_of(ward.learned, layout), pieces_of(ward.judged[:1], layout), seed):
        pass
    return network


def _fitted(ward: Ward, network: Network, streams: Sequence[Stream], epochs: int, seed: int) -> Network:
    """After all its epochs; whoever was pretrained has met the population before."""
    fitting = network.layout.monitor.fitting.model_copy(update={"epochs": epochs})
    layout = Layout(network.layout.monitor.model_copy(update={"fitting": fitting}))
    if epochs == ward.epochs:
        meet(network, ward.learned)
    fit = Fit(network, layout, pieces_of(streams, layout), pieces_of(ward.judged[:1], layout), seed)
    for _ in range(epochs):
        fit.epoch()
    return network


def _packed(streams: Sequence[Stream], layout: Layout) -> tuple[Rows, Int64]:
    """All rows, and the packed one of each stay's last."""
    lengths = [len(each) for each in streams]
    values, time_ms = (np.concatenate([getattr(each, part) for each in streams]) for part in ("values", "time_ms"))
    rows, order, _ = pack(np.repeat(np.arange(len(streams)), lengths), values, time_ms, layout)
    return rows, order[np.cumsum(lengths) - 1]


@torch.inference_mode()
def _foreseen(network: Network, streams: Sequence[Stream]) -> Float64:
    """Probability of death at each stay's last row."""
    rows, last = _packed(streams, network.layout)
    outputs, _ = network.eval()(rows, network.initial(rows.waves[0]))
    logits_NC: torch.Tensor = outputs.states[-1][torch.from_numpy(last)]
    return logits_NC.softmax(-1)[:, 1].double().numpy()


def _statistics(network: Network, streams: Sequence[Stream]) -> Float64:
    """What the baselines read of each stay: the running statistics at its last row, NaN = never seen. [N, F]."""
    rows, last = _packed(streams, network.layout)
    observed = network.statistics.observe(network.statistics.initial(rows.waves[0]), rows)
    planes = [observed.last_NS, observed.level_NS, observed.low_NS, observed.high_NS, observed.spread_NS]
    never_NS = observed.count_NS == 0
    known = [torch.where(never_NS, torch.nan, plane.double())[last].numpy() for plane in planes]
    return np.concatenate([*known, observed.count_NS[last].numpy()], 1)


def _baselines() -> dict[str, Any]:
    """Settings fixed beforehand."""
    boosting = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=150, max_leaf_nodes=8, l2_regularization=1.0, random_state=0
    )
    filled = SimpleImputer(strategy="median")
    return {
        "logistic": make_pipeline(filled, StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)),
        "boosting": boosting,
    }


def _figures(probability: Float64, died: Float64) -> Figures:
    sure = probability.clip(_SURE, 1.0 - _SURE)
    nats = -np.where(died > 0, np.log(sure), np.log(1.0 - sure))
    return {"auroc": auroc(probability, died > 0), "log_loss": float(nats.mean())}


def _table(figure: str, title: str, found: Sequence[Curves]) -> Table:
    table = Table(title=title)
    for name in ("", *(f"{share:.0%} labelled" for share in _SHARES)):
        table.add_column(name, justify="right")
    for way in _WAYS:
        each = [[curves[way][share][figure] for curves in found] for share in _SHARES]
        table.add_row(way, *(f"{fmean(seeds):.3f} ({pstdev(seeds):.3f})" for seeds in each))
    return table


if __name__ == "__main__":
    main()
