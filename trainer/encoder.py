"""One recurrent encoder per modality, all of them in the same padded products.

N rows, E entities, S signals, G features, M modalities, P signals of the largest modality, D width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.layout import Layout
from trainer.cells import CELLS
from trainer.population import N_INPUTS
from trainer.rows import Rows
from trainer.statistics import Observed

_NEVER = 1e4
"""Stands for "never seen" among log ages, which are capped far below."""


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

    A modality that is absent from a row keeps its state; the decay for the time passed is applied when it is next
    seen (GRU-D, Che et al., 2018, section 2.2, with the decay in units of the signal's typical gap).
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        model, owners = layout.monitor.model, layout.modality_of
        sizes = [owners.count(modality) for modality in range(len(layout.monitor.modalities))]
        self._spans = [(owners.index(modality), size) for modality, size in enumerate(sizes)]
        self._half = model.half_state
        m, p, d = len(sizes), max(sizes), model.width
        fan_M11 = torch.tensor([float(size * N_INPUTS) for size in sizes]).rsqrt().view(-1, 1, 1)
        self.input_MI2D = nn.Parameter(torch.empty(m, p * N_INPUTS, 2 * d).uniform_(-1.0, 1.0) * fan_M11)
        self.bias_M12D = nn.Parameter(torch.zeros(m, 1, 2 * d))
        self.modality_M1D = nn.Parameter(torch.randn(m, 1, d) * 0.3)
        self.decay_M1D = nn.Parameter(torch.full((m, 1, d), -4.0))
        self.cell = CELLS[model.cell](m, d)
        self.norm = nn.LayerNorm(d)

    def forward(self, features_GNS: Tensor, observed: Observed, rows: Rows, hidden_EMD: Tensor) -> Encoded:
        """Encode all rows; only the cell runs wave by wave."""
        present_MN = self._any(observed.present_NS)
        seen_MN = self._any((observed.count_NS > 0).float())
        pause_MN = self._pause(observed)
        width = hidden_EMD.shape[-1]
        projected_MN2D = torch.baddbmm(self.bias_M12D, self._inputs(features_GNS), self.input_MI2D)
        gates_MNP = self.cell.project(functional.gelu(projected_MN2D[..., :width]))
        keep_MND = torch.exp(-functional.softplus(self.decay_M1D) * (pause_MN * present_MN)[..., None])
        hidden_MED = hidden_EMD.transpose(0, 1).to(gates_MNP.dtype)
        hidden_MND = self._scan(rows.waves, gates_MNP, keep_MND, (1.0 - present_MN)[..., None], hidden_MED)
        token_MND = self.norm(hidden_MND + projected_MN2D[..., width:] + self.modality_M1D)
        final_EMD = rows.latest(hidden_MND, 1).transpose(0, 1)
        return Encoded(token_MND, pause_MN * (1.0 - present_MN), seen_MN > 0, final_EMD)

    def _scan(
        self, waves: tuple[int, ...], gates_MNP: Tensor, keep_MND: Tensor, absent_MN1: Tensor, hidden_MED: Tensor
    ) -> Tensor:
        sizes, states = list(waves), []
        pieces = zip(gates_MNP.split(sizes, 1), keep_MND.split(sizes, 1), absent_MN1.split(sizes, 1), strict=True)
        for gates, keep, absent in pieces:
            hidden_MED = self.cell.step(gates, hidden_MED[:, : gates.shape[1]] * keep, absent)
            if self._half and not self.training:
                hidden_MED = hidden_MED.half().float()
            states.append(hidden_MED)
        return states[0] if len(states) == 1 else torch.cat(states, 1)

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
