"""Which rank a trainer is, and where the ranks meet."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from torch import distributed
from torch.distributed import ProcessGroup, TCPStore  # type: ignore[attr-defined]

_PATIENCE = timedelta(seconds=30)
"""How long a rank waits for the others in one step before it takes them for lost."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which rank one is.

    Attributes:
        formation: grows whenever the ranks are counted anew.
        rank: from 0, who speaks for all.
        ranks: how many there are.
        address: host:port where they meet; the first one listens.
    """

    formation: int
    rank: int
    ranks: int
    address: str


def meet(place: Place, host: str, *, nccl: bool) -> ProcessGroup | None:
    """The ranks, once all are there; None: there is but one. Raises RuntimeError when they do not come.

    Args:
        place: of this one.
        host: its own address, at which the others reach it: a machine's name may stand for its loopback alone.
        nccl: each rank has a GPU of its own (NCCL takes no two on one); else they add up over gloo, on CPUs.
    """
    if place.ranks == 1:
        return None
    leader, _, port = place.address.rpartition(":")
    store = TCPStore(leader, int(port), place.ranks, place.rank == 0, _PATIENCE, wait_for_workers=False)
    if nccl:
        os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")  # else a lost rank ends this process, not the step
        patient = _patient(distributed.ProcessGroupNCCL.Options())
        return cast("ProcessGroup", distributed.ProcessGroupNCCL(store, place.rank, place.ranks, patient))
    gloo: Any = distributed.ProcessGroupGloo
    options = _patient(gloo._Options())  # noqa: SLF001
    options._devices = [gloo.create_device(hostname=host)]  # noqa: SLF001
    return cast("ProcessGroup", gloo(store, place.rank, place.ranks, options))


def _patient(options: Any) -> Any:
    """Give up after a while: the fields of these options have no public names."""
    options._timeout = _PATIENCE  # noqa: SLF001
    return options
