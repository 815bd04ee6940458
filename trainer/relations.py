"""Where an entity's values lie among those it belongs to: the population once more, group by group.

N rows, S signals, T groups of a relation, V values of the signal that says the group.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from schemas.layout import Layout
from schemas.relation import Relation
from trainer.population import LEAST, N_INPUTS, deviations, move
from trainer.statistics import Observed
from trainer.weighting.ranks import gather_rows

N_RELATED = 2
"""Of each relation: last value and running mean."""


def inputs_of(layout: Layout) -> int:
    """What the network reads of each signal."""
    return N_INPUTS + N_RELATED * len(layout.monitor.knowledge.relations)


class Relations(nn.ModuleList):
    """All relations of a monitor; none, and then nothing, where none is configured."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(_Groups(relation, layout) for relation in layout.monitor.knowledge.relations)

    def forward(self, observed: Observed) -> list[Tensor]:
        """Per relation the placed statistics, [2, N, S] float32; 0 where group or signal is unknown."""
        return [groups(observed) for groups in self]

    def learn(self, value_NS: Tensor, last_NS: Tensor, group: ProcessGroup | None = None) -> None:
        """Move towards values in model scale, NaN = missing, of entities of which `last_NS` was last seen.

        All ranks of a group move by what each of them saw.
        """
        value_NS, last_NS = gather_rows(value_NS, group), gather_rows(last_NS, group)
        for groups in self._each():
            groups.learn(value_NS, last_NS)

    def _each(self) -> Iterator["_Groups"]:
        for groups in self:
            assert isinstance(groups, _Groups)
            yield groups


class _Groups(nn.Module):
    """Running mean and deviation of each signal in each group of one relation, model scale.

    As of the population they are part of the weights and moved by the learner alone.
    """

    count_TS: Tensor
    mean_TS: Tensor
    variance_TS: Tensor
    _value_V: Tensor
    _group_V: Tensor

    def __init__(self, relation: Relation, layout: Layout) -> None:
        super().__init__()
        self._column = layout.index[relation.by]
        members = relation.members(layout.signals[self._column].range)
        value_V = torch.tensor([value for values in members for value in values], dtype=torch.float64)
        group_V = torch.tensor([group for group, values in enumerate(members) for _ in values])
        self.register_buffer("_value_V", value_V, persistent=False)
        self.register_buffer("_group_V", group_V, persistent=False)
        for name in ("count_TS", "mean_TS", "variance_TS"):
            self.register_buffer(name, torch.zeros(len(members), len(layout.signals), dtype=torch.float64))

    def forward(self, observed: Observed) -> Tensor:
        group_N = self._of(observed.last_NS)
        count_NS, mean_NS, variance_NS = (
            each_TS[group_N.clamp(min=0)] for each_TS in (self.count_TS, self.mean_TS, self.variance_TS)
        )
        placed_2NS = deviations(torch.stack([observed.last_NS, observed.level_NS]), mean_NS, variance_NS)
        known_NS = (group_N >= 0)[:, None] & (count_NS >= LEAST) & (observed.count_NS > 0)
        return torch.where(known_NS, placed_2NS, 0.0)

    @torch.no_grad()
    def learn(self, value_NS: Tensor, last_NS: Tensor) -> None:
        value_NS, last_NS = value_NS.to(self.mean_TS.device), last_NS.to(self.mean_TS.device)
        group_N = self._of(last_NS)
        for group in group_N[group_N >= 0].unique().tolist():
            move(self.count_TS[group], self.mean_TS[group], self.variance_TS[group], value_NS[group_N == group])

    def _of(self, last_NS: Tensor) -> Tensor:
        """The group of each row, [N] int64; -1 unknown, or none."""
        is_NV = last_NS[:, self._column, None].round() == self._value_V
        return (is_NV * (self._group_V + 1)).sum(1) - 1
