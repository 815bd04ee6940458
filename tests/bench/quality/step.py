"""What one step costs on the CPU, and on a GPU where there is one, without Kafka and Ray: rows a second, and bytes."""

from pathlib import Path

import torch

from scorer.scorer import state_template
from tests.bench.quality.table import Figures, Measured
from tests.bench.step import measured_layouts, rates
from trainer.network import state_bytes

_SECONDS, _QUICK_SECONDS = 1.0, 0.05


def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured:
    """`step.<step>` a second, and `step.<monitor>_network_bytes` and `_entity_bytes`. Nothing of `shared` is read.

    Of a GPU `step.cuda_<step>`, of learning in bfloat16.
    """
    seconds = _QUICK_SECONDS if quick else _SECONDS
    found = dict(rates(torch.device("cpu"), "float32", seconds))
    if torch.cuda.is_available():
        with torch.device("cuda"):
            found |= {f"cuda_{name}": rate for name, rate in rates(torch.device("cuda"), "bfloat16", seconds)}
    for name, layout in measured_layouts().items():
        found[f"{name}_network_bytes"] = sum(state_bytes(layout).values())
        found[f"{name}_entity_bytes"] = sum(part.nbytes for part in state_template(layout).values())
    figures: Figures = {f"step.{name}": {"bellwether": value} for name, value in found.items()}
    return Measured(figures)
