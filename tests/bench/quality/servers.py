"""Made-up servers with labelled faults, of seeds that nothing was chosen on: the same figures as of injected faults."""

from pathlib import Path

from tests.bench.quality.faults import compared, means
from tests.bench.quality.table import Figures, Measured
from tests.converters.servers import servers

_SEED, _FLEETS, _MACHINES, _ROWS, _QUICK_ROWS = 201, 3, 3, 6000, 1000


def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured:
    """`servers.<fleet>.<metric>` of each system, and the mean over the fleets. Nothing of `shared` is read."""
    figures: Figures = {}
    for fleet in range(_FLEETS):
        chance = _SEED + _FLEETS * seed + fleet
        made = servers(chance, 1, _QUICK_ROWS) if quick else servers(chance, _MACHINES, _ROWS)
        figures |= compared(f"servers.fleet{fleet + 1}", made, folder)
    return Measured(figures | means("servers", figures))
