"""Structured pruning: whole units are left out, the least important of each space, so that every matrix gets smaller.

What is left is a network like any other of that width; it only remembers which columns of the state of the one that it
was cut out of are its own, so that entities go on where they were when it takes over.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.chapter import Chapter
from trainer.losses import task_losses
from trainer.network import COLUMNS, Network
from trainer.units import STATE, Kept, Space, axes_of, by_unit, spaces_of, taken
from trainer.weights import at_width


def narrower(network: Network, chapters: Sequence[Chapter], width: int) -> Network:
    """A network of this width from the units that matter most to the tasks' losses on these rows."""
    layout = at_width(network.layout, width)
    spaces = spaces_of(layout, axes_of(network))
    importance = importance_of(network, chapters)
    return cut(network, {name: _most(importance[name], space) for name, space in spaces.items()}, width)


def importance_of(network: Network, chapters: Sequence[Chapter]) -> dict[str, Tensor]:
    """Space -> how much the summed losses would change without each unit, squared, to first order; mean over chapters.

    Leaving a unit out sets all weights that touch it to 0, so that the change is the sum of weight times gradient over
    them (Molchanov et al., 2019, section 3.1, equation 8, of joint groups). `network` is left in training mode.
    """
    axes = axes_of(network)
    spaces = spaces_of(network.layout, axes)
    total = {name: torch.zeros(space.units, dtype=torch.float64) for name, space in spaces.items()}
    for chapter in chapters:
        change = {name: torch.zeros_like(each) for name, each in total.items()}
        for name, product in _products(network, chapter).items():
            for space, sum_U in by_unit(product, axes.get(name, ()), spaces):
                change[space] += sum_U
        total = {name: each + change[name].square() / len(chapters) for name, each in total.items()}
    return total


def cut(network: Network, kept: Kept, width: int) -> Network:
    """These units of a network as one of this width; equally many of each space, as the width says."""
    axes, cut_from = axes_of(network), network.cut_from or network.layout.monitor.model.width
    spaces = spaces_of(network.layout, axes)
    smaller = Network(at_width(network.layout, width), cut_from)
    if network.private is None:
        smaller.private = None
    whole = network.state_dict()
    column_X = whole.pop(COLUMNS, torch.arange(network.trunk.state_shape[-1]))
    column_LC = column_X.view(-1, spaces[axes[STATE][1][0]].units)
    weights = {name: taken(weight, axes.get(name, ()), spaces, kept) for name, weight in whole.items()}
    smaller.load_state_dict(weights | {COLUMNS: taken(column_LC, axes[STATE], spaces, kept).flatten()})
    return smaller.eval()


def _products(network: Network, chapter: Chapter) -> dict[str, Tensor]:
    """Weight times gradient of the losses of every task by each of its ways, by name."""
    weights = dict(network.train().named_parameters())
    start = chapter.start(network)
    outputs, _ = network(chapter.rows, start | {"hidden": start["hidden"].float()}, both_ways=True)
    asked = [outputs.by(answers) for answers in outputs.ways or ()] or [outputs]
    losses = [loss.mean() for each in asked for loss in task_losses(each, chapter.targets, network.layout)]
    gradients = torch.autograd.grad(torch.stack(losses).sum(), list(weights.values()), allow_unused=True)
    pairs = zip(weights.items(), gradients, strict=True)
    return {name: (weight * slope).detach().double() for (name, weight), slope in pairs if slope is not None}


def _most(importance_U: Tensor, space: Space) -> Tensor:
    """The most important units, equally many of each part, in the order in which they stood."""
    importance_PU = importance_U.view(space.parts, -1)
    place_PU = importance_PU.topk(space.units // space.parts).indices.sort().values
    first_P1 = torch.arange(space.parts)[:, None] * importance_PU.shape[1]
    return (place_PU + first_P1).flatten()
