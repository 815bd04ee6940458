"""How alike the tasks' gradients are: running cosines at the shared representation. K tasks."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor

_RATE = 0.05
"""Of forgetting, a measured step."""


class Similarity:
    """Running mean of the cosine between every two tasks' gradients.

    Attributes:
        cosine_KK: in [-1, 1], NaN for a pair never judged together; below 0 the tasks are in conflict.
    """

    def __init__(self, tasks: int) -> None:
        self.cosine_KK = torch.full((tasks, tasks), torch.nan)

    def add(self, gramian_KK: Tensor) -> None:
        """Take a step's inner products in; a pair of which one gradient is 0 or not finite says nothing."""
        length_K = gramian_KK.diagonal().clamp(min=0.0).sqrt()
        cosine_KK = (gramian_KK / (length_K * length_K[:, None])).clamp(-1.0, 1.0).to(self.cosine_KK)
        before_KK = torch.where(self.cosine_KK.isnan(), cosine_KK, self.cosine_KK)
        self.cosine_KK = torch.where(cosine_KK.isfinite(), before_KK.lerp(cosine_KK, _RATE), self.cosine_KK)

    def state_dict(self) -> dict[str, Tensor]:
        """The cosines."""
        return {"cosine": self.cosine_KK}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with those of another one."""
        self.cosine_KK = state["cosine"].clone()

    def metrics(self, tasks: Sequence[str]) -> dict[str, float]:
        """`<task>.similarity_<other>`, each pair once, in the tasks' order."""
        pairs = combinations(enumerate(tasks), 2)
        named = {f"{task}.similarity_{other}": float(self.cosine_KK[i, j]) for (i, task), (j, other) in pairs}
        return {name: cosine for name, cosine in named.items() if cosine == cosine}  # noqa: PLR0124 - NaN
