"""Made-up servers with labelled faults, of seeds that nothing was chosen on: the same figures as of injected faults."""

from pathlib import Path

from tests.bench.quality.faults import compared, means
from tests.bench.quality.table import Figures
from tests.converters.servers import servers

_SEED, _FLEETS, _MACHINES, _ROWS = 201, 3, 3, 6000


def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Figures:
    """`servers.<fleet>.<metric>` of each system, and the mean over the fleets. Nothing of `shared` is read."""
    figures: Figures = {}
    for fleet in range(1 if quick else _FLEETS):
        made = servers(_SEED + _FLEETS * seed + fleet, _MACHINES, _ROWS)
        figures |= compared(f"servers.fleet{fleet + 1}", made, folder)
    return figures | means("servers", figures)
