"""What methods that read the tasks' gradients add to a training step: times the backward pass of a plain sum."""

from collections.abc import Mapping
from pathlib import Path

from tests.bench.quality.table import Figures, Measured
from tests.bench.weighting import NETWORKS, milliseconds
from trainer.weighting.methods import WEIGHTINGS

_FULL, _QUICK = (64, NETWORKS), (1, NETWORKS[:1])
"""Steps of each method, and of which networks."""
_RANKS = {1: "one_rank", 2: "two_ranks"}
_BESIDE = ("equal", "torchjd")


def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured:
    """`weighting.<network>.<ranks>.<pass>`: of plain. Nothing of `shared` is read.

    Bellwether: the dearest of the methods that read gradients, as configured by default.
    """
    figures: Figures = {}
    rounds, networks = _QUICK if quick else _FULL
    for ranks, word in _RANKS.items():
        for network, ways in milliseconds(rounds, ranks, networks).items():
            for place, part in enumerate(("backward", "step")):
                cost = {way: each[place] / ways["plain"][place] for way, each in ways.items()}
                figures[f"weighting.{network}.{word}.{part}"] = _of_methods(cost)
    return Measured(figures)


def _of_methods(cost: Mapping[str, float]) -> dict[str, float]:
    every = {way: cost[f"{way}, every step"] for way in WEIGHTINGS if f"{way}, every step" in cost}
    default = [cost[way] for way in every]
    found = {"bellwether": max(default), "cheapest": min(default), "every step": max(every.values())}
    return found | {way: cost[way] for way in _BESIDE}
