"""What of a candidate is offered for service: all of it, all but some private paths, or some private paths alone.

What a private path answers hangs on nothing that other tasks learn, so that it is promoted by itself: a task whose few
labels say nothing clear yet, or that got worse, holds back no other, and is held back by none. What the paths read is
placed among a population that still grows a little; that comes with whatever the trunk comes from.
"""

import copy
from dataclasses import dataclass

from trainer.gate import Gate
from trainer.graft import take_path
from trainer.network import Network
from trainer.transfer import FIRST_NAMED


@dataclass(frozen=True, slots=True)
class Offer:
    """Of which of the two what comes.

    Attributes:
        trunk: comes all that tasks share from the candidate? Else it stays as it serves.
        crossed: tasks whose private path comes from the other one.
    """

    trunk: bool
    crossed: tuple[int, ...]

    def taken(self, tasks: int) -> list[int]:
        """Tasks, of so many, that the candidate answers from now on."""
        return [task for task in range(tasks) if (task in self.crossed) != self.trunk]

    def network(self, candidate: Network, serving: Network) -> Network:
        """Both together, as one that can be published."""
        base, other = (candidate, serving) if self.trunk else (serving, candidate)
        found = copy.deepcopy(base)
        for task in self.crossed:
            take_path(found, other, task)
        return found


def offer_of(gate: Gate, candidate: Network, serving: Network) -> Offer | None:
    """What proved itself; None: nothing did.

    The trunk comes with all that it answers, where that is better in one task and inferior in none; then so do the
    private paths that are not inferior. Else those come that are better.
    """
    if not gate.ready():
        return None
    verdict, places = gate.verdict(), range(len(candidate.layout.tasks))
    apart = [task for task in places if task >= FIRST_NAMED and candidate.detached[task] and serving.detached[task]]
    together = [task for task in places if task not in apart]
    if gate.ready(together) and verdict.better(together):
        return Offer(trunk=True, crossed=tuple(task for task in apart if verdict.inferior(task)))
    better = tuple(task for task in apart if gate.ready([task]) and verdict.better([task]))
    return Offer(trunk=False, crossed=better) if better else None
