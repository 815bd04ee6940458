"""Made-up servers with labelled faults, of seeds that nothing was chosen on: the same figures as of injected faults."""

from pathlib import Path

from tests.bench.quality.faults import compared, means
from tests.bench.quality.table import Figures
from tests.converters.servers import servers

_SEEDS, _MACHINES, _ROWS = (201, 202, 203), 3, 6000


def measure(shared: Path, folder: Path, *, quick: bool) -> Figures:
    """`servers.seed<n>.<metric>` of each system, and the mean over the seeds. Nothing of `shared` is read."""
    figures: Figures = {}
    for seed in _SEEDS[:1] if quick else _SEEDS:
        figures |= compared(f"servers.seed{seed}", servers(seed, _MACHINES, _ROWS), folder)
    return figures | means("servers", figures)
