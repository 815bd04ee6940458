"""Rows of entities that a relation names are told their group."""

from collections.abc import Sequence

import numpy as np

from schemas.layout import Layout
from schemas.observation import Float64


class Membership:
    """Group signals of the entities that `knowledge.relations` names; costs nothing where it names none.

    Args:
        layout: the monitor's columns.
    """

    def __init__(self, layout: Layout) -> None:
        relations = layout.monitor.knowledge.relations
        self._groups = [(layout.index[each.by], each.group_of) for each in relations if each.entities]

    def fill(self, entity: Sequence[str], values: Float64) -> None:
        """Set the signals that say a group, in place, where a row does not.

        Args:
            entity: of each row, N of them.
            values: raw units, [N, S].
        """
        for column, group_of in self._groups:
            group_N = np.array([group_of.get(name, np.nan) for name in entity])
            values[:, column] = np.where(np.isnan(values[:, column]), group_N, values[:, column])
