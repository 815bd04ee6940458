"""A fit on many workers: Ray Train starts them and their process group; each is one rank of the same fit."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from infra.fitting.directory import epochs_in
from infra.fitting.local import OnEpoch, fit_rank
from infra.fitting.options import FitOptions
from infra.fitting.read import read_history
from infra.gpus import check_gpus
from infra.stack.ray import ray_session
from ingest.outcomes import Outcome
from schemas.errors import StackError
from schemas.layout import Layout

_LOOK_SECONDS = 0.5


def fit_on_ray(
    layout: Layout,
    outcomes: Sequence[Outcome],
    start: bytes | None,
    path: Path,
    options: FitOptions,
    on_epoch: OnEpoch,
) -> None:
    """Fit on `options.workers` processes, each of which reads the files, and keeps its own entities.

    Args:
        layout: the monitor, with its event tasks.
        outcomes: of entities.
        start: weights to start from; None: fresh ones.
        path: the run's directory, which all machines must see, as the files.
        options: what was asked for.
        on_epoch: told of each epoch as it appears in the directory.

    Raises:
        StackError: Ray, or a worker, failed.
    """
    absolute = replace(options, files=tuple(file.resolve() for file in options.files))
    job = {"layout": layout, "outcomes": outcomes, "start": start, "path": path.resolve(), "options": absolute}
    with ray_session(options.ray_address, options.workers, log_to_driver=False), _followed(path, on_epoch):
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        gpus = options.gpus_per_worker
        check_gpus("--gpus-per-worker", gpus * options.workers, local=not options.ray_address)
        resources = {"CPU": 1.0, **({"GPU": gpus} if gpus else {})}
        trainer = TorchTrainer(
            _rank,
            train_loop_config=job,
            torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
            scaling_config=ScalingConfig(num_workers=options.workers, use_gpu=gpus > 0, resources_per_worker=resources),
            run_config=RunConfig(name="fit", storage_path=str(path.resolve() / "ray")),
        )
        try:
            trainer.fit()
        except Exception as error:  # Ray wraps whatever a worker raised
            raise StackError(f"ray train: got {error}; expected {options.workers} workers that end well") from error


def _rank(job: dict[str, Any]) -> None:
    """One worker."""
    from ray.train.torch import get_device

    torch.set_num_threads(1)
    options: FitOptions = job["options"]
    fit_rank(
        job["layout"],
        read_history(options.files, job["layout"], job["outcomes"], options.seed, again=True),
        job["start"],
        job["path"],
        options.seed,
        lambda _: None,
        resume=options.resume,
        group=distributed.group.WORLD,
        device=get_device(),
    )


@contextmanager
def _followed(path: Path, on_epoch: OnEpoch) -> Iterator[None]:
    """Tell of each epoch that another process adds to a run's manifest."""
    ended = threading.Event()
    before = len(epochs_in(path))
    follower = threading.Thread(target=_follow, args=(path, on_epoch, ended, before), daemon=True)
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()


def _follow(path: Path, on_epoch: OnEpoch, ended: threading.Event, told: int) -> None:
    last = False
    while not last:
        last = ended.wait(_LOOK_SECONDS)
        epochs = epochs_in(path)
        told = min(told, len(epochs))  # a run that starts over has none at first
        for epoch in epochs[told:]:
            on_epoch(epoch)
        told = len(epochs)
