"""Ray shells: each holds one service that runs without Ray just as well.

Ray's own restarts and retries stay off (`deployment`): they lose state and order.
"""

import os
from collections.abc import Callable
from typing import Any, Protocol

import ray

from schemas.monitor import Monitor


class Service(Protocol):
    """What an actor shell holds."""

    def serve(self) -> None:
        """Serve until stopped."""
        ...

    def status(self) -> dict[str, object]:
        """Plain numbers of what was done."""
        ...

    def stop(self) -> None:
        """Return from `serve` soon."""
        ...


class _Shell:
    """Makes its service when it is told to serve, so that what hinders the service is the error of that call."""

    def __init__(self, make: Callable[[], Service], *, verbose: bool) -> None:
        _prepare(verbose=verbose)
        self._make = make
        self._service: Service | None = None

    def serve(self) -> None:
        """Make the service and serve until stopped."""
        self._service = self._make()
        self._service.serve()

    def status(self) -> dict[str, object]:
        """What the service says of itself; nothing before it was made."""
        return self._service.status() if self._service is not None else {}

    def stop(self) -> None:
        """Return from `serve` after the batch in hand."""
        if self._service is not None:
            self._service.stop()


@ray.remote
class ShardActor(_Shell):
    """A `ShardService` in a process of its own."""

    def __init__(self, monitor: dict[str, Any], index: int, *, verbose: bool) -> None:
        def make() -> Service:
            from infra.shard_service import ShardService

            return ShardService(Monitor.model_validate(monitor), index)

        super().__init__(make, verbose=verbose)


@ray.remote
class TrainerActor(_Shell):
    """A `TrainerService` in a process of its own."""

    def __init__(self, monitor: dict[str, Any], *, verbose: bool) -> None:
        def make() -> Service:
            from infra.trainer_service import TrainerService

            return TrainerService(Monitor.model_validate(monitor))

        super().__init__(make, verbose=verbose)


def _prepare(*, verbose: bool) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from infra.logs import configure

    torch.set_num_threads(1)
    configure(verbose=verbose)
