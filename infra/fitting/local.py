"""One rank of a fit: all of it where there is only one. Runs without Ray."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed import ProcessGroup

from infra.fitting.directory import Directory, described
from infra.fitting.read import History
from infra.fitting.trackers import tracked
from schemas.layout import Layout
from trainer.best import Best
from trainer.fit import Fit, meet
from trainer.network import Network
from trainer.pretraining import pretrain
from trainer.weights import load_weights

OnEpoch = Callable[[Mapping[str, Any]], None]
"""Told of each epoch, as the manifest has it, once it is kept; on the first rank alone."""


def fit_rank(
    layout: Layout,
    history: History,
    start: bytes | None,
    path: Path,
    seed: int,
    on_epoch: OnEpoch,
    *,
    resume: bool = False,
    group: ProcessGroup | None = None,
    device: torch.device | None = None,
) -> Directory:
    """Fit until the epochs are done or no task improves any more; every rank of a group calls.

    Args:
        layout: the monitor, with its event tasks.
        history: the files' streams, the same on every rank.
        start: weights to start from; None: fresh ones.
        path: the run's directory; it is written by the first rank, and read by all where the run is resumed.
        seed: of order and faults.
        on_epoch: told of each epoch, those of pretraining too, which no directory keeps.
        resume: go on where the run in `path` stopped.
        group: the ranks.
        device: where the network computes.

    Raises:
        InputError: there are fewer entities than ranks.
        ModelError: there is no such run to resume.
    """
    rank, ranks = (0, 1) if group is None else (group.rank(), group.size())
    network = Network(layout) if start is None else load_weights(layout, start)
    meet(network, history.streams)
    learned, judged = history.learned(layout, rank, ranks), history.judged(layout)
    if not resume:
        for epoch in pretrain(network, layout, learned, judged, seed, group, device):
            if rank == 0:
                on_epoch({**described(epoch), "stage": "pretraining "})
    fit = Fit(network, layout, learned, judged, seed, group, device)
    best = Best(layout.monitor.fitting.patience)
    directory = Directory(path, layout, history, seed)
    if resume:
        directory.resume(fit, best)
    elif rank == 0:
        directory.begin()
    settings = layout.monitor.fitting
    trackers = settings.trackers if rank == 0 else ()
    with tracked(trackers, layout.monitor.monitor, path, fit.epochs + 1) as record:
        while fit.epochs < settings.epochs and not best.ended:
            epoch = fit.epoch()
            improved = best.add(epoch.number, epoch.validation)
            if rank == 0:
                directory.add(epoch, fit, best, improved)
                record(directory.epochs[-1])
                on_epoch(directory.epochs[-1])
    return directory
