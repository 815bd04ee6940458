"""Cells that are linear in their state: it moves by a factor and an addend that are known for all rows beforehand.

M modalities, E entities of one wave, T waves, N = T * E rows, L slots, C channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class LinearCell(nn.Module):
    """What such cells share: state = factor * state + added, whose `drive` is (factor, added)."""

    def times(self, factor: Tensor, value: Tensor) -> Tensor:
        """The cell's product: of a factor and a state, and of two factors. Associative."""
        return factor * value

    def step(self, state_MELC: Tensor, drive: Sequence[Tensor]) -> Tensor:
        """The state after one wave's rows."""
        factor, added_MELC = drive
        return self.times(factor, state_MELC) + added_MELC

    def scan(self, state_MELC: Tensor, drive: Sequence[Tensor]) -> Tensor:
        """The states after all rows of equally large waves, [M, N, L, C], at a depth of 2 log T.

        The same as `step` wave by wave, but not in the last bits: for training only.
        """
        entities = state_MELC.shape[1]
        factor, added_MTELC = (each.unflatten(1, (-1, entities)) for each in drive)
        first = self.step(state_MELC, (factor[:, 0], added_MTELC[:, 0]))
        return self._prefixes(factor, torch.cat([first[:, None], added_MTELC[:, 1:]], 1)).flatten(1, 2)

    def _prefixes(self, factor: Tensor, added: Tensor) -> Tensor:
        """States from a start of zero, [M, T, ...]: neighbours are joined, which halves the waves (Blelloch, 1990)."""
        waves = added.shape[1]
        if waves == 1:
            return added
        early, late, rest = slice(0, waves - 1, 2), slice(1, None, 2), slice(2, None, 2)
        joined = self.step(added[:, early], (factor[:, late], added[:, late]))
        state_late = self._prefixes(self.times(factor[:, late], factor[:, early]), joined)
        before_rest = state_late[:, : (waves - 1) // 2]
        state = added.clone()
        state[:, late], state[:, rest] = state_late, self.step(before_rest, (factor[:, rest], added[:, rest]))
        return state
