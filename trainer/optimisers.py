"""Optimisers by `training.optimiser`: those of torch that go on learning for as long as the stream does.

Left out: Adagrad and ASGD, whose steps shrink for ever and so do not follow drift; Rprop and LBFGS, which take every
batch to be the whole of the data; Muon, which takes matrices alone.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, optim

from schemas.components import FittingSettings, TrainingSettings


@dataclass(frozen=True, slots=True)
class Choice:
    """What makes an optimiser, and its learning rate where none is configured."""

    make: Callable[..., optim.Optimizer]
    learning_rate: float


OPTIMISERS: Mapping[str, Choice] = {
    "adamw": Choice(optim.AdamW, 2e-3),
    "adam": Choice(optim.Adam, 2e-3),
    "nadam": Choice(partial(optim.NAdam, decoupled_weight_decay=True), 2e-3),
    "radam": Choice(partial(optim.RAdam, decoupled_weight_decay=True), 5e-3),
    "adamax": Choice(optim.Adamax, 5e-3),
    "rmsprop": Choice(optim.RMSprop, 1e-3),
    "sgd": Choice(optim.SGD, 1e-1),
}
"""`training.optimiser` -> the optimiser. Of the rates that were tried with radam (2), adamax, rmsprop (3) and sgd (4)
these cost least in `python -m tests.bench.choices optimiser`, each with `training.learning_rate`."""


def optimiser_of(weights: Iterable[Tensor] | Iterable[dict[str, Any]], settings: TrainingSettings) -> optim.Optimizer:
    """The optimiser as configured."""
    choice = OPTIMISERS[settings.optimiser]
    momentum = {"momentum": settings.momentum, "nesterov": settings.momentum > 0}
    return choice.make(
        weights,
        lr=rate_of(settings),
        weight_decay=settings.weight_decay,
        **(momentum if settings.optimiser == "sgd" else {}),
    )


def rate_of(settings: TrainingSettings) -> float:
    """The learning rate as configured, or the optimiser's own."""
    return settings.learning_rate or OPTIMISERS[settings.optimiser].learning_rate


def highest_rate(fitting: FittingSettings, optimiser: str) -> float:
    """Of a fit, as configured, or half as high again as the optimiser's own: a fit's rate falls to nothing."""
    return fitting.learning_rate or 1.5 * OPTIMISERS[optimiser].learning_rate
