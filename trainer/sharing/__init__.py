"""How tasks share what lies between the attention and their heads: one strategy a file, one config word each.

Promises: batched products over tasks; no strategy remembers rows, so that all share state and cost of the encoders but
`twins`, which has as many of those as there are tasks and therefore is a trunk of its own (`trainer.sharing.twins`).
A weight whose name ends in a shape that begins with K has a row for each task, any other serves all tasks.
May import: encoder, fusion, trunk and schemas; never heads or what learns.
Adding one: a file, a line in `STRATEGIES`, a word in `model.sharing`.
"""

from typing import ClassVar, Protocol

from torch import Tensor

from schemas.components import ModelSettings
from trainer.sharing.adatt import AdaTT
from trainer.sharing.cross_stitch import CrossStitch
from trainer.sharing.hard import Hard, HardAll
from trainer.sharing.mmoe import Mmoe
from trainer.sharing.mtan import Mtan
from trainer.sharing.ple import Ple


class Sharing(Protocol):
    """What the trunk needs of a strategy.

    Attributes:
        shared_queries: 1 where it reads a representation of no task beside those of the tasks, else 0.
    """

    shared_queries: ClassVar[int]

    def __init__(self, tasks: int, model: ModelSettings) -> None: ...

    def __call__(self, task_KND: Tensor, shared_1ND: Tensor, /) -> Tensor:
        """What the heads read, [K, N, D]; `shared_1ND` is empty ([0, N, D]) where `shared_queries` is 0."""
        ...


STRATEGIES: dict[str, type[Sharing]] = {
    "hard": Hard,
    "hard-all": HardAll,
    "cross-stitch": CrossStitch,
    "mmoe": Mmoe,
    "ple": Ple,
    "adatt": AdaTT,
    "mtan": Mtan,
}
"""`model.sharing` -> constructor from (number of tasks, model settings)."""
