"""A fit on many workers: Ray Train starts them and their process group; each is one rank of the same fit."""

from pathlib import Path
from typing import Any

import torch
from torch import distributed

from infra.fitting.local import fit_rank
from infra.fitting.options import FitOptions
from infra.fitting.progress import said_of
from infra.fitting.read import History
from infra.stack.ray import ray_session
from schemas.errors import StackError
from schemas.layout import Layout


def fit_on_ray(layout: Layout, history: History, start: bytes | None, path: Path, options: FitOptions) -> None:
    """Fit on `options.workers` processes; the first writes into `path`, which all machines must see.

    Raises:
        StackError: Ray, or a worker, failed.
    """
    with ray_session(options.ray_address, cpus=options.workers):
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        gpus = options.gpus_per_worker
        job = {"layout": layout, "history": history, "start": start, "path": path.resolve(), "seed": options.seed}
        resources = {"CPU": 1.0, **({"GPU": gpus} if gpus else {})}
        trainer = TorchTrainer(
            _rank,
            train_loop_config=job | {"resume": options.resume},
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
    fit_rank(
        job["layout"],
        job["history"],
        job["start"],
        job["path"],
        job["seed"],
        lambda epoch: print(said_of(epoch), flush=True),
        resume=job["resume"],
        group=distributed.group.WORLD,
        device=get_device(),
    )
