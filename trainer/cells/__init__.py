"""Recurrent cells of the encoder, one copy per modality, behind one seam; `model.cell` or a modality names one.

The state of a modality is a matrix of L slots and C channels, and time fades each channel. What can be computed for
all rows at once is (`drive`, `read`); only `step` runs wave by wave. Linear cells can do without waves (`linear.py`).

What moves a state, and the state, are in the precision that `keep` comes in, whatever products are taken in.

Every cell keeps the laws of `tests/laws`: a row without the modality leaves the state exactly as it was, the state
does not grow, and what comes out does not depend on how rows were grouped into batches.

M modalities, N rows, E entities of one wave, D width, L slots, C channels.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from trainer.cells.convolution import ConvolutionCell
from trainer.cells.gru import GruCell
from trainer.cells.linear import LinearCell
from trainer.cells.mingru import MinGruCell
from trainer.cells.retention import RetentionCell
from trainer.cells.ssm import SsmCell
from trainer.cells.transformer import TransformerCell

__all__ = ["CELLS", "Cell", "LinearCell"]


class Cell(Protocol):
    """What the encoder needs of a cell.

    Attributes:
        slots: rows of the state's matrix; all of them fade alike.
        channels: its columns; each fades at its own rate.
    """

    slots: int
    channels: int

    def drive(self, x_MND: Tensor, keep_MNC: Tensor, absent_MN1: Tensor, /) -> Sequence[Tensor]:
        """What moves the state, for all rows at once; the second axis of each tensor is N.

        Args:
            x_MND: input of each row.
            keep_MNC: what the time since the modality was last seen leaves of the state; exactly 1 where absent.
            absent_MN1: 1.0 where the row lacks the modality, else 0.0.
        """
        ...

    def step(self, state_MELC: Tensor, drive: Sequence[Tensor], /) -> Tensor:
        """The state after one wave's rows, [M, E, L, C]; exactly `state_MELC` where the modality is absent."""
        ...

    def read(self, x_MND: Tensor, state_MNLC: Tensor, /) -> Tensor:
        """What the rest of the network sees of the states after each row: [M, N, D]."""
        ...


CELLS: dict[str, Callable[[int, int], Cell]] = {
    "gru": GruCell,
    "mingru": MinGruCell,
    "ssm": SsmCell,
    "retention": RetentionCell,
    "convolution": ConvolutionCell,
    "transformer": TransformerCell,
}
"""`cell` -> constructor from (modalities, width); the width is a multiple of 8."""
