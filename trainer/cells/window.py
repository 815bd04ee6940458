"""Cells whose state is the last few inputs, newest last. M modalities, E entities of one wave, L slots, C channels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class WindowCell(nn.Module):
    """What such cells share: entries that fade as they wait, as any other state does.

    An entry that was never made and one that has faded away are both zero, so that neither needs a mask or an age.
    """

    def step(self, state_MELC: Tensor, drive: Sequence[Tensor]) -> Tensor:
        """Fade, and let the newest entry push the oldest out where the modality is present."""
        entry_ME1C, keep_ME1C, absent_ME11 = drive
        faded_MELC = state_MELC * keep_ME1C
        return torch.where(absent_ME11 > 0, faded_MELC, torch.cat([faded_MELC[:, :, 1:], entry_ME1C], 2))
