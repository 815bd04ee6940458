"""Ray shells: each holds one service that runs without Ray just as well.

Ray's own restarts and retries stay off (`deployment`): they lose state and order.
"""

import os
from typing import Any, Protocol

import ray

from schemas.monitor import Monitor

_GIVING_WAY = 10
"""Niceness: about a tenth of a core where shards want all of it, all of it where they do not."""


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
    """Starts empty, with what takes seconds to import; makes its service when it is told what to serve.

    What hinders the service is so the error of that call.
    """

    def __init__(self, *, verbose: bool) -> None:
        _prepare(verbose=verbose)
        self._service: Service | None = None

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

    def __init__(self, *, verbose: bool) -> None:
        super().__init__(verbose=verbose)
        import infra.shard_service  # noqa: F401

    def serve(self, monitor: dict[str, Any], index: int) -> None:
        """Serve until stopped."""
        from infra.shard_service import ShardService

        self._service = ShardService(Monitor.model_validate(monitor), index)
        self._service.serve()


@ray.remote
class TrainerActor(_Shell):
    """A `TrainerService` in a process of its own, which gives way to the shards': learning can wait, alerts cannot."""

    def __init__(self, *, verbose: bool) -> None:
        os.nice(_GIVING_WAY)  # before torch is imported, which is seconds of work
        super().__init__(verbose=verbose)

    def serve(self, monitor: dict[str, Any], index: int) -> None:
        """Serve until stopped."""
        from infra.trainer_service import TrainerService

        host = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        self._trainer = self._service = TrainerService(Monitor.model_validate(monitor), index, host)
        self._service.serve()

    def address(self) -> str:
        """Where other ranks could meet this one."""
        return self._trainer.address()

    def join(self, place: dict[str, Any]) -> None:
        """From now on be this rank."""
        from infra.place import Place

        self._trainer.join(Place(**place))


def _prepare(*, verbose: bool) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from infra.logs import configure

    torch.set_num_threads(1)
    configure(verbose=verbose)
