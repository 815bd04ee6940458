"""Single-task twins: each task its own encoder and fusion; nothing is shared, which is what sharing is measured by.

N rows, E entities, M modalities, K tasks, Y = K * M, D width, X state width of a modality, G features, S signals.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from schemas.layout import Layout
from trainer.encoder import Encoder
from trainer.fusion import Fusion
from trainer.rows import Rows
from trainer.sharing.hard import Hard
from trainer.statistics import Observed
from trainer.trunk import Representation


class Twins(nn.Module):
    """A trunk that costs, and keeps of each entity, K times what one task's does.

    Attributes:
        state_shape: [Y, X] of an entity's hidden state, task by task.
    """

    def __init__(self, layout: Layout, tasks: int) -> None:
        super().__init__()
        model, encoders = layout.monitor.model, [Encoder(layout) for _ in range(tasks)]
        self.encoders = nn.ModuleList(encoders)
        self.fusions = nn.ModuleList(Fusion(model.width, model.heads, 1) for _ in range(tasks))
        self.sharing = Hard(tasks, model)
        self.state_shape = (tasks * len(layout.monitor.modalities), encoders[0].state_width)

    def relate(self, cosine_KK: Tensor) -> None:
        """Twins do not look at each other."""

    def forward(self, features_GNS: Tensor, observed: Observed, rows: Rows, hidden_EYX: Tensor) -> Representation:
        """As `Trunk.forward`, with the states [E, Y, X] and tokens [Y, N, D] of all twins."""
        k, n = len(self.encoders), rows.time_N.shape[0]
        states = zip(self.encoders, hidden_EYX.chunk(k, 1), strict=True)
        encoded = [encoder(features_GNS, observed, rows, state) for encoder, state in states]
        token_YND = torch.cat([each.token_MND for each in encoded])
        tokens = zip(self.fusions, encoded, token_YND.chunk(k), strict=True)
        fused = [fusion(replace(each, token_MND=token_MND)) for fusion, each, token_MND in tokens]
        task_KND = torch.cat([task_1ND for task_1ND, _ in fused])
        return Representation(
            task_KND=self.sharing(task_KND, task_KND[:0]).to(token_YND.dtype),
            token_MND=token_YND,
            hidden_EMX=torch.cat([each.hidden_EMD for each in encoded], 1),
            attention_NKM=torch.cat([attention_N1M for _, attention_N1M in fused], 1),
            affinity_NKK=torch.eye(k, device=token_YND.device).expand(n, k, k),
        )
