"""Where each entity's next window starts: what each version knew of it at the end of the last one.

E packed entities.
"""

import torch

from schemas.observation import Field
from trainer.lesson import Lesson
from trainer.network import Network, State
from trainer.slots import Slots

CANDIDATE, SERVING = "candidate", "serving"
_OWN = ("hidden", "expected", "spread")
"""Parts of the state that depend on the weights: each version has its own."""


class States:
    """States of entities in their slots.

    Args:
        slots: their template must hold `state_template` of the network.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def start(self, network: Network, lesson: Lesson, version: str) -> State:
        """Of the lesson's entities, padding included."""
        if lesson.slots_E is None:
            return blank(network, lesson.rows.waves[0])
        names = ["statistics", *(f"{version}.{part}" for part in _OWN)]
        gathered = self._slots.gather(names, lesson.slots_E)
        device = lesson.rows.value_NS.device
        return {
            name.removeprefix(f"{version}."): torch.from_numpy(value).to(device) for name, value in gathered.items()
        }

    def keep(self, lesson: Lesson, after: State, version: str) -> None:
        """The end state of the clean pieces is where their entities' next windows start."""
        if lesson.slots_E is None:
            return
        named = {f"{version}.{part}": after[part] for part in _OWN} | {"statistics": after["statistics"]}
        kept = {name: part.detach().cpu().numpy()[lesson.clean_E] for name, part in named.items()}
        self._slots.scatter(lesson.slots_E[lesson.clean_E], kept)

    def rebase(self, source: str, target: str) -> None:
        """One version's own part of the state becomes the other's."""
        for part in _OWN:
            self._slots.copy_field(f"{source}.{part}", f"{target}.{part}")


def blank(network: Network, e: int) -> State:
    """State of entities never seen; float32: only serving rounds it."""
    initial = network.initial(e)
    return initial | {"hidden": initial["hidden"].float()}


def state_template(network: Network) -> dict[str, Field]:
    """State of an entity never seen, for both versions."""
    initial = {name: part.cpu() for name, part in blank(network, 1).items()}
    template = {"statistics": initial["statistics"].numpy()}
    return template | {f"{version}.{part}": initial[part].numpy() for version in (CANDIDATE, SERVING) for part in _OWN}
