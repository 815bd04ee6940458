"""The network: frames through one encoder, then a head for each task. With one task it is that task's twin.

N images, K tasks, D width, C classes of a task.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from schemas.components import ModelSettings
from tests.examples.digits.images import QUESTIONS, SHAPE
from trainer.frames import FrameEncoder
from trainer.sharing import STRATEGIES

_WIDTH = 64


class Digits(nn.Module):
    """Convolutions, pooling, heads.

    Args:
        tasks: names of the questions.
        sharing: what lies between the encoder and the heads, a word of `model.sharing`; none: nothing.
        seed: the weights follow from it.
    """

    def __init__(self, tasks: Sequence[str], seed: int, sharing: str | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = FrameEncoder(SHAPE, _WIDTH)
            self.heads = nn.ModuleList(nn.Linear(_WIDTH, QUESTIONS[task].classes) for task in tasks)
            self.sharing = sharing and STRATEGIES[sharing](len(tasks), ModelSettings(width=_WIDTH))

    def forward(self, frame_NCHW: Tensor) -> tuple[list[Tensor], Tensor]:
        """Logits of each task, [N, C], and the representation they share, [N, D]."""
        shared_ND = self.encoder(frame_NCHW)
        task_KND = shared_ND.expand(len(self.heads), -1, -1)
        if self.sharing:
            task_KND = self.sharing(task_KND, shared_ND[None])
        return [head(task_ND) for head, task_ND in zip(self.heads, task_KND, strict=True)], shared_ND
