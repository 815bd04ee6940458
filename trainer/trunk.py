"""The trunk: from features to one representation per task. What follows is heads; what it keeps is the hidden state.

N rows, E entities, S signals, M modalities, D width, X state width of a modality, K tasks, G features of a signal.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from schemas.layout import Layout
from trainer.encoder import Encoder
from trainer.fusion import Fusion, TaskAttention
from trainer.rows import Rows
from trainer.sharing import STRATEGIES
from trainer.statistics import Observed


@dataclass(frozen=True, slots=True)
class Representation:
    """What a trunk makes of rows.

    Attributes:
        task_KND: what each task's head reads.
        token_MND: the tokens that every task's loss flows through on its way to the encoders.
        hidden_EMX: the state after each entity's last row.
        attention_NKM: each task's attention over the null token and the modalities (1 + M), mean over heads.
        affinity_NKK: how much each task (axis 1) looks at each (axis 2).
    """

    task_KND: Tensor
    token_MND: Tensor
    hidden_EMX: Tensor
    attention_NKM: Tensor
    affinity_NKK: Tensor


class Trunk(nn.Module):
    """Encoders, fusion, task-to-task attention, and the strategy by which tasks share what comes then.

    Attributes:
        state_shape: [M, X] of an entity's hidden state.
    """

    def __init__(self, layout: Layout, tasks: int) -> None:
        super().__init__()
        model = layout.monitor.model
        strategy = STRATEGIES[model.sharing]
        self._tasks = tasks
        self.encoder = Encoder(layout)
        self.fusion = Fusion(model.width, model.heads, tasks + strategy.shared_queries)
        self.attention = TaskAttention(model.width, tasks, model.similarity_bias)
        self.sharing = strategy(tasks, model)
        self.state_shape = (len(layout.monitor.modalities), self.encoder.state_width)

    def relate(self, cosine_KK: Tensor) -> None:
        """How alike the tasks' gradients were measured to be."""
        self.attention.relate(cosine_KK)

    def forward(self, features_GNS: Tensor, observed: Observed, rows: Rows, hidden_EMX: Tensor) -> Representation:
        """Represent rows, given the state before them."""
        encoded = self.encoder(features_GNS, observed, rows, hidden_EMX)
        fused_KND, attention_NKM = self.fusion(encoded)
        task_KND, affinity_NKK = self.attention(fused_KND[: self._tasks])
        return Representation(
            task_KND=self.sharing(task_KND, fused_KND[self._tasks :]).to(encoded.token_MND.dtype),
            token_MND=encoded.token_MND,
            hidden_EMX=encoded.hidden_EMD,
            attention_NKM=attention_NKM[:, : self._tasks],
            affinity_NKK=affinity_NKK,
        )
