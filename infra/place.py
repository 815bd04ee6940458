"""Which rank a trainer is, and where the ranks meet."""

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


def meet(place: Place) -> ProcessGroup | None:
    """The ranks, once all are there; None: there is but one. Raises RuntimeError when they do not come."""
    if place.ranks == 1:
        return None
    host, _, port = place.address.rpartition(":")
    leads = place.rank == 0
    store = TCPStore(host, int(port), place.ranks, leads, _PATIENCE, wait_for_workers=False)
    return cast("ProcessGroup", distributed.ProcessGroupGloo(store, place.rank, place.ranks, _PATIENCE))
