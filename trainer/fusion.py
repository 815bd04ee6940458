"""Attention: from each query to the modality tokens, then from task to task.

Products leave rows last ([.., D, N]) wherever a weight per row multiplies a vector per row: rows are then the
contiguous axis of the element-wise kernels, measured 3-5 times faster than a width of 32 there. Sums over
another axis than the last are spelled out: torch's own were measured to depend on N.

N rows, M modalities, K tasks (in the fusion K queries: those of the tasks, then one of no task where the sharing
strategy wants it), D width, A attention heads, J = K * A, L = K * K * N.
"""

from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.encoder import Encoded


class Fusion(nn.Module):
    """K representations from M tokens (multi-head attention, Vaswani et al., 2017).

    The queries are parameters, so that query times key collapses into one product with the tokens. A modality
    never seen is masked, a stale one is biased down by its log age; a learned null token is always there, so that
    a row before any observation has something to attend to.
    """

    def __init__(self, width: int, heads: int, queries: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.query_KAD = nn.Parameter(torch.empty(queries, heads, width).uniform_(-bound, bound))
        self.value_DD = nn.Parameter(torch.empty(width, width).uniform_(-bound, bound))
        self.stale_KA1 = nn.Parameter(torch.full((queries, heads, 1), -1.0))
        self.null_KA1 = nn.Parameter(torch.zeros(queries, heads, 1))
        self.null_D1 = nn.Parameter(torch.zeros(width, 1))
        self.out = nn.Linear(width, width)
        self.task_K1D = nn.Parameter(torch.randn(queries, 1, width) * 0.3)
        self.norm = nn.LayerNorm(width)

    def forward(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """Representations [K, N, D]; attention [N, K, 1 + M], mean over heads: the null token, then the modalities."""
        m, n, d = encoded.token_MND.shape
        k, heads, _ = self.query_KAD.shape
        query_value_XD = torch.cat([self.query_KAD.view(-1, d), self.value_DD])
        projected_MXN = torch.bmm(query_value_XD.expand(m, -1, -1), encoded.token_MND.transpose(1, 2))
        logit_MJN, value_MDN = projected_MXN.split([k * heads, d], 1)
        logit_MJN = logit_MJN - functional.softplus(self.stale_KA1.view(-1, 1)) * encoded.age_MN[:, None]
        logit_MJN = torch.where(encoded.seen_MN[:, None], logit_MJN, -torch.inf)
        weight_MJN = torch.cat([self.null_KA1.view(1, -1, 1).expand(-1, -1, n), logit_MJN]).softmax(0)
        weight = weight_MJN.view(m + 1, k, heads, 1, n)
        value = [self.null_D1.view(1, heads, -1, 1), *value_MDN.reshape(m, 1, heads, -1, n)]
        mixed_KDN = weighted_sum(weight, value).view(k, d, n)
        fused_KND: Tensor = self.norm(self.out(mixed_KDN.transpose(1, 2)) + self.task_K1D)
        attention_MKN = reduce(torch.add, weight.detach().squeeze(3).unbind(2)) * heads**-1.0
        return fused_KND, attention_MKN.permute(2, 1, 0)


class TaskAttention(nn.Module):
    """Task-to-task attention: identity plus a gated residual, the gate zero at the start (hard sharing).

    With `bias` above 0 a logit is raised by that much per cosine of the two tasks' gradients. The cosines are part of
    the weights and moved by the learner alone, so that what serves is fixed by its version.
    """

    cosine_KK: Tensor

    def __init__(self, width: int, tasks: int, bias: float = 0.0) -> None:
        super().__init__()
        self._bias = bias
        if bias:
            self.register_buffer("cosine_KK", torch.zeros(tasks, tasks))
        self._half = width // 2
        bound = width**-0.5
        self.query_key_value_XD = nn.Parameter(torch.empty(2 * width, width).uniform_(-bound, bound))
        self.out = nn.Linear(width, width)
        self.gate_D = nn.Parameter(torch.zeros(width))

    def forward(self, task_KND: Tensor) -> tuple[Tensor, Tensor]:
        """Task representations [K, N, D]; attention [N, K, K], how much each task (axis 1) looks at each (axis 2).

        Queries and keys have half the width.
        """
        k, n, d = task_KND.shape
        projected_XKN = torch.mm(self.query_key_value_XD, task_KND.reshape(k * n, d).t()).view(2 * d, k, n)
        query, key, value_DKN = projected_XKN.split([self._half, self._half, d])
        product_XL = (query[:, None] * key[:, :, None]).view(self._half, -1)
        logit_L = torch.mv(product_XL.t(), product_XL.new_full((self._half,), self._half**-0.5))
        logit_KKN = logit_L.view(k, k, n).to(task_KND.dtype)
        if self._bias:
            logit_KKN = logit_KKN + self._bias * self.cosine_KK[..., None]
        weight_KKN = logit_KKN.softmax(0)
        mixed_DKN = weighted_sum(weight_KKN, value_DKN.unsqueeze(2).unbind(1))
        mixed_KND: Tensor = self.out(mixed_DKN.view(d, k * n).t()).view(k, n, d)
        attended_KND: Tensor = torch.addcmul(task_KND, self.gate_D.tanh(), mixed_KND)
        return attended_KND, weight_KKN.detach().permute(2, 1, 0)

    @torch.no_grad()
    def relate(self, cosine_KK: Tensor) -> None:
        """Take measured cosines over; NaN leaves what was known. A task's with itself favours nothing, 0.

        Without a bias none are kept.
        """
        if self._bias:
            measured_KK = cosine_KK.to(self.cosine_KK)
            self.cosine_KK.copy_(measured_KK.where(measured_KK.isfinite(), self.cosine_KK)).fill_diagonal_(0.0)


def weighted_sum(weight: Iterable[Tensor], value: Iterable[Tensor]) -> Tensor:
    """Sum of weight[i] * value[i], broadcast against each other, in a fixed order."""
    pairs = zip(weight, value, strict=True)
    first_weight, first_value = next(pairs)
    total: Tensor = first_weight * first_value
    for each_weight, each_value in pairs:
        total = torch.addcmul(total, each_weight, each_value)
    return total
