"""In what numbers the network's products are taken while it is fitted: `fitting.precision` (Micikevicius et al., 2018).

In bfloat16 (8 bits of mantissa) are the products of trunk and private paths, which are most of the work, and what lies
between two of them. In float32 or float64 stays what adds up over rows or steps, where rounding would too: the running
statistics, the counts of what followed what, the states of the recurrent cells with their gates and fading, attention
weights, heads, losses, and the weights themselves, so that a file is the same whatever it was fitted in. bfloat16 has
float32's range: losses need no scaling. Judging, as serving, is in float32.
"""

from contextlib import AbstractContextManager, nullcontext

import torch

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""`fitting.precision` -> of products."""


def products_in(precision: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Within it products are taken so; float32 enters nothing at all, so that it costs nothing."""
    if precision is torch.float32:
        return nullcontext()
    return torch.autocast(device.type, precision)
