"""A monitor's trainers are counted, and each is told which rank it is, whenever one came or went."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

_ASK_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class Trainer(Protocol):
    """A trainer's actor, and what it last said of itself: nothing before it could take a place."""

    actor: Any
    last: dict[str, Any]


@dataclass(slots=True)
class TrainerGroup:
    """Who learns together now.

    Attributes:
        formation: how often they were counted.
        formed: actors of the ranks, in their order.
    """

    formation: int = 0
    formed: tuple[Any, ...] = ()

    def form(self, trainers: Sequence[Trainer]) -> None:
        """Give places to those that are there, where they are others than before or have lost each other."""
        import ray

        present = [trainer for trainer in trainers if "steps" in trainer.last]
        actors = tuple(trainer.actor for trainer in present)
        lost = any(trainer.last["lost"] == self.formation for trainer in present)
        if not actors or (actors == self.formed and not lost):
            return
        try:
            address = ray.get(actors[0].address.remote(), timeout=_ASK_SECONDS) if len(actors) > 1 else ""
        except (ray.exceptions.GetTimeoutError, ray.exceptions.RayActorError):
            return  # it will be found gone, or asked again
        self.formation, self.formed = self.formation + 1, actors
        _log.info("trainers counted", ranks=len(actors), formation=self.formation)
        for rank, actor in enumerate(actors):
            place = {"formation": self.formation, "rank": rank, "ranks": len(actors), "address": address}
            actor.join.remote(place)
