"""Ray shells: each holds one service that runs without Ray just as well.

Ray's own restarts and retries stay off (`deployment`): they lose state and order.
"""

import os
from typing import Any

import ray

from schemas.monitor import Monitor


@ray.remote
class ShardActor:
    """A `ShardService` in a process of its own."""

    def __init__(self, monitor: dict[str, Any], index: int, *, verbose: bool) -> None:
        _prepare(verbose=verbose)
        from infra.shard_service import ShardService

        self._service = ShardService(Monitor.model_validate(monitor), index)

    def serve(self) -> None:
        """Score until stopped."""
        self._service.serve()

    def status(self) -> dict[str, object]:
        """Counts, lag and model version."""
        return self._service.status()

    def stop(self) -> None:
        """Return from `serve` after the batch in hand."""
        self._service.stop()


@ray.remote
class TrainerActor:
    """A `TrainerService` in a process of its own."""

    def __init__(self, monitor: dict[str, Any], *, verbose: bool) -> None:
        _prepare(verbose=verbose)
        from infra.trainer_service import TrainerService

        self._service = TrainerService(Monitor.model_validate(monitor))

    def serve(self) -> None:
        """Learn until stopped."""
        self._service.serve()

    def status(self) -> dict[str, object]:
        """Steps, losses and lag."""
        return self._service.status()

    def stop(self) -> None:
        """Return from `serve` after the batch in hand."""
        self._service.stop()


def _prepare(*, verbose: bool) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from infra.logs import configure

    torch.set_num_threads(1)
    configure(verbose=verbose)
