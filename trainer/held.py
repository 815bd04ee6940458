"""Tasks that a fit leaves as they are, while others learn beside them."""

from collections.abc import Collection

import torch

from trainer.network import Network
from trainer.transfer import rows_of_tasks

_WAYS = "private.detached_K"
"""The way that serves a task is the network's own affair: it is not set by writing to this."""


class Held:
    """What belongs to some tasks alone: queries, private paths, heads, what is known of how a task stands.

    Put back after every step rather than kept out of it: momentum and weight decay move rows without a gradient too.

    Args:
        network: as it shall stay.
        tasks: names of those that do not learn.
    """

    def __init__(self, network: Network, tasks: Collection[str]) -> None:
        rows = rows_of_tasks(network, tasks) if tasks else {}
        state = network.state_dict()
        self._held = [(state[name], place, state[name][place].clone()) for name, place in rows.items() if name != _WAYS]

    @torch.no_grad()
    def put_back(self) -> None:
        """As they were when this was made."""
        for weight, place, was in self._held:
            weight[place] = was
