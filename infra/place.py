"""Which rank a trainer is, and where the ranks meet."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

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


def meet(place: Place, *, nccl: bool) -> ProcessGroup | None:
    """The ranks, once all are there; None: there is but one. Raises RuntimeError when they do not come.

    Args:
        place: of this one.
        nccl: each rank has a GPU of its own (NCCL takes no two on one); else they add up over gloo, on CPUs.
    """
    if place.ranks == 1:
        return None
    host, _, port = place.address.rpartition(":")
    leads = place.rank == 0
    store = TCPStore(host, int(port), place.ranks, leads, _PATIENCE, wait_for_workers=False)
    if nccl:
        os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")  # else a lost rank ends this process, not the step
        options = distributed.ProcessGroupNCCL.Options()
        options._timeout = _PATIENCE  # noqa: SLF001  # torch gives it no other name
        return cast("ProcessGroup", distributed.ProcessGroupNCCL(store, place.rank, place.ranks, options))
    return cast("ProcessGroup", distributed.ProcessGroupGloo(store, place.rank, place.ranks, _PATIENCE))
