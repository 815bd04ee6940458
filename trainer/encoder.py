"""One recurrent encoder per modality, all of them in the same padded products.

N rows, E entities, S signals, G features, M modalities, P signals of the largest modality, D width, X = L * C: the
state of a modality has L slots of C channels. Where cells differ, X and C are the largest of any; a smaller state is
followed by zeros.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.layout import Layout
from trainer.cells import CELLS, Cell, LinearCell
from trainer.frames import projection_of
from trainer.relations import inputs_of
from trainer.rows import MULTIPLE, Rows, by_wave
from trainer.statistics import Observed

_NEVER = 1e4
"""Stands for "never seen" among log ages, which are capped far below."""
_HALF_MAX = 65504.0
"""The largest number of half precision: what exceeds it stops there instead of becoming infinite."""
_SCAN_WAVES = 64
"""From so many waves on a linear cell learns by scan, but not on a CPU: DECISIONS.md says when which is faster."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tokens.

    Attributes:
        token_MND: one per modality and row.
        age_MN: log1p of the time since the modality was last seen, in typical gaps; 0 when the row carries it.
        seen_MN: bool, the entity has ever shown the modality.
        hidden_EMD: the state after each entity's last row.
    """

    token_MND: Tensor
    age_MN: Tensor
    seen_MN: Tensor
    hidden_EMD: Tensor


class Encoder(nn.Module):
    """Features -> linear, GELU -> recurrent cell with time-decayed state -> token from state and features.

    Of an image or embedding the projected frame or vector is added to the projected features where it is present.

    A modality that is absent from a row keeps its state; the decay for the time passed is applied when it is next
    seen (GRU-D, Che et al., 2018, section 2.2, with the decay in units of the signal's typical gap).

    Modalities of one cell are computed together; where their cells differ, `cell` holds one per word.

    Attributes:
        state_width: X; the state of an entity is [M, X].
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        model, owners = layout.monitor.model, layout.modality_of
        sizes = [owners.count(modality) for modality in range(len(layout.monitor.modalities))]
        self._spans = [(owners.index(modality), size) for modality, size in enumerate(sizes)]
        self._half = model.half_state
        m, p, d = len(sizes), max(sizes), model.width
        inputs = inputs_of(layout)
        fan_M11 = torch.tensor([float(size * inputs) for size in sizes]).rsqrt().view(-1, 1, 1)
        self.input_MI2D = nn.Parameter(torch.empty(m, p * inputs, 2 * d).uniform_(-1.0, 1.0) * fan_M11)
        self.bias_M12D = nn.Parameter(torch.zeros(m, 1, 2 * d))
        self.modality_M1D = nn.Parameter(torch.randn(m, 1, d) * 0.3)
        words = layout.cells
        cells = {word: CELLS[word](words.count(word), d) for word in dict.fromkeys(words)}
        self._groups = [
            (cell, [place for place, each in enumerate(words) if each == word]) for word, cell in cells.items()
        ]
        modules = cast("dict[str, nn.Module]", cells)
        self.cell = nn.ModuleDict(modules) if len(modules) > 1 else modules[words[0]]
        self.decay_M1C = nn.Parameter(torch.full((m, 1, max(cell.channels for cell in cells.values())), -4.0))
        self.state_width = max(cell.slots * cell.channels for cell in cells.values())
        self.norm = nn.LayerNorm(d)
        places = {modality.name: place for place, modality in enumerate(layout.monitor.modalities)}
        self._vector_places = [(name, places[name]) for name in layout.vectors]
        self.vectors = nn.ModuleDict({name: projection_of(each.shape, 2 * d) for name, each in layout.vectors.items()})

    def forward(self, features_GNS: Tensor, observed: Observed, rows: Rows, hidden_EMX: Tensor) -> Encoded:
        """Encode all rows; only the cell's steps run wave by wave."""
        present_MN = self._any(observed.present_NS)
        seen_MN = self._any((observed.count_NS > 0).float())
        pause_MN = self._pause(observed)
        projected_MN2D = torch.baddbmm(self.bias_M12D, self._inputs(features_GNS), self.input_MI2D)
        if self._vector_places:
            projected_MN2D = self._with_vectors(projected_MN2D, rows, present_MN)
        x_MND, skip_MND = projected_MN2D.chunk(2, -1)
        x_MND = functional.gelu(x_MND)
        keep_MNC = torch.exp(-functional.softplus(self.decay_M1C) * (pause_MN * present_MN)[..., None])
        state_MEX = hidden_EMX.transpose(0, 1).to(keep_MNC.dtype)
        read_MND, final_MEX = self._by_group(rows, x_MND, keep_MNC, (1.0 - present_MN)[..., None], state_MEX)
        token_MND = self.norm(read_MND + skip_MND + self.modality_M1D)
        return Encoded(token_MND, pause_MN * (1.0 - present_MN), seen_MN > 0, final_MEX.transpose(0, 1))

    def _by_group(self, rows: Rows, *given: Tensor) -> tuple[Tensor, Tensor]:
        """`_recurred` for each cell and its modalities, whose results then stand in the monitor's order."""
        if len(self._groups) == 1:
            return self._recurred(self._groups[0][0], rows, *given)
        found: dict[int, tuple[Tensor, Tensor]] = {}
        for cell, places in self._groups:
            read_MND, final_MEX = self._recurred(
                cell, rows, *(torch.stack([each[place] for place in places]) for each in given)
            )
            padded_MEX = functional.pad(final_MEX, (0, self.state_width - final_MEX.shape[-1]))
            found |= dict(zip(places, zip(read_MND, padded_MEX, strict=True), strict=True))
        read, final = zip(*(found[place] for place in range(len(found))), strict=True)
        return torch.stack(read), torch.stack(final)

    def _recurred(
        self, cell: Cell, rows: Rows, x_MND: Tensor, keep_MNC: Tensor, absent_MN1: Tensor, state_MEX: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What is read of each row, [M, N, D], and the states after each entity's last one, as wide as the cell's."""
        width = cell.slots * cell.channels
        state_MELC = state_MEX[..., :width].unflatten(-1, (cell.slots, cell.channels))
        drive = cell.drive(x_MND, keep_MNC[..., : cell.channels], absent_MN1)
        state_MNLC = self._states(cell, rows.waves, state_MELC, drive)
        return cell.read(x_MND, state_MNLC), rows.latest(state_MNLC, 1).flatten(2)

    def _states(self, cell: Cell, waves: tuple[int, ...], state_MELC: Tensor, drive: Sequence[Tensor]) -> Tensor:
        """The states after all rows, [M, N, L, C]."""
        if self.training and isinstance(cell, LinearCell) and _scan_pays(waves, state_MELC.device):
            return cell.scan(state_MELC, drive)
        states = []
        for size, wave in zip(waves, by_wave(waves, drive, 1), strict=True):
            state_MELC = cell.step(state_MELC[:, :size], wave)
            if self._half and not self.training:
                state_MELC = state_MELC.clamp(-_HALF_MAX, _HALF_MAX).half().float()
            states.append(state_MELC)
        return states[0] if len(states) == 1 else torch.cat(states, 1)

    def _with_vectors(self, projected_MN2D: Tensor, rows: Rows, present_MN: Tensor) -> Tensor:
        """Only rows that carry one are projected: of few entities most rows are padding.

        In an exported program all are, for no shape of its may depend on which do.
        """
        each = list(projected_MN2D.unbind(0))
        for name, place in self._vector_places:
            if torch.compiler.is_exporting():
                with_vector_N2D = each[place] + self.vectors[name](rows.vectors[name])
                each[place] = torch.where(present_MN[place][:, None] > 0.0, with_vector_N2D, each[place])
                continue
            row_n = present_MN[place].nonzero()[:, 0]
            vector = rows.vectors[name].index_select(0, row_n)
            padding = vector.new_zeros(MULTIPLE - len(row_n) % MULTIPLE, *vector.shape[1:])
            projected_n2D = self.vectors[name](torch.cat([vector, padding]))[: len(row_n)]
            each[place] = each[place].index_add(0, row_n, projected_n2D)
        return torch.stack(each)

    def _any(self, flag_NS: Tensor) -> Tensor:
        """Whether any signal of a modality is flagged, [M, N] of 0.0 and 1.0."""
        return torch.stack([flag_NS.narrow(1, start, size).amax(1) for start, size in self._spans])

    def _pause(self, observed: Observed) -> Tensor:
        """Log time since any of a modality's signals was seen before the row; 0 never. [M, N]."""
        pause_NS = torch.where(observed.before_NS.isnan(), _NEVER, observed.pause_NS)
        pause_MN = torch.stack([pause_NS.narrow(1, start, size).amin(1) for start, size in self._spans])
        return torch.where(pause_MN == _NEVER, 0.0, pause_MN)

    def _inputs(self, features_GNS: Tensor) -> Tensor:
        """Features gathered by modality, [M, N, G * P], zero where a modality has fewer signals."""
        g, n, _ = features_GNS.shape
        m, width = len(self._spans), self.input_MI2D.shape[1] // g
        gathered = features_GNS.new_zeros(m, n, g, width)
        for modality, (start, size) in enumerate(self._spans):
            gathered[modality, :, :, :size] = features_GNS[:, :, start : start + size].transpose(0, 1)
        return gathered.view(m, n, -1)


def _scan_pays(waves: tuple[int, ...], device: torch.device) -> bool:
    return device.type != "cpu" and len(waves) >= _SCAN_WAVES and waves[0] == waves[-1]
