"""Judging: what a network is worth on pieces that it did not learn from, answered as in serving.

Sums, counts and answers of all ranks are laid together before anything is divided: every figure is that of all pieces
at once, however many ranks looked at them.

N rows, W pieces (where they are few: the windows in them), K tasks, G kinds of rows, Y ways of answering: the one that
serves; where there are private paths, the shared and the private one, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from schemas.layout import Layout
from schemas.observation import Float64
from trainer.chapter import Chapter, copied_among, judged_chapter
from trainer.history import Piece
from trainer.losses import KINDS, evened, row_losses
from trainer.metrics import Tally
from trainer.network import Network, Outputs
from trainer.weighting.ranks import gather_rows

_ENOUGH = 64
"""Pieces from which on a verdict can be had of them."""
_TOGETHER = 128
_FAULTS = 20_120
"""Seeds the faults: the same ones every epoch, for every network, and on whatever rank a piece is judged."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a network is worth on pieces that it did not learn from.

    Attributes:
        losses: per task, standardised (1 = knowing nothing); only tasks that could be judged.
        metrics: `<task>.<metric>`, as in learning online.
        loss_WK: one by one, the ranks' after each other; their mean is the loss. NaN = not judged.
        ways: the same by the shared way and by the private one; None: there are no private paths.
    """

    losses: Mapping[str, float]
    metrics: Mapping[str, float]
    loss_WK: Float64
    ways: tuple[Float64, Float64] | None = None

    @property
    def mean(self) -> float:
        """Of the tasks' losses: they are standardised."""
        return sum(self.losses.values()) / len(self.losses)


@torch.no_grad()
def judge(network: Network, pieces: Sequence[Piece], group: ProcessGroup | None = None) -> Judgement:
    """Judge a network, on the device where it is; it is in evaluation mode afterwards.

    Args:
        network: what is judged.
        pieces: all of them, the same on every rank.
        group: ranks that look at a share of the pieces each; all get the same judgement.
    """
    network.eval()
    layout, few = network.layout, len(pieces) < _ENOUGH
    ways, tasks = 1 if network.private is None else 3, len(layout.tasks)
    tally = Tally(layout)
    seen = [(torch.empty(0, ways, tasks, KINDS), torch.empty(0, tasks, KINDS))]
    for chapter in _chapters(pieces, layout, group):
        there = chapter.to(network.device)
        outputs, _ = network(there.rows, there.start(network), both_ways=True)
        seen.append(_sums(outputs, there, layout, few=few))
        tally.add(outputs, there.targets)
    loss_WYKG, mass_WKG = (gather_rows(torch.cat(each), group).double() for each in zip(*seen, strict=True))
    mass_KG, judged_WK = mass_WKG.sum(0), (mass_WKG > 0).any(-1)
    loss_WYK = evened(loss_WYKG, mass_KG) * judged_WK.sum(0)
    served, *by_way = loss_WYK.where(judged_WK[:, None], torch.nan).unbind(1)
    judged = zip(layout.tasks, served.nanmean(0).tolist(), judged_WK.any(0).tolist(), strict=True)
    return Judgement(
        losses={task.name: loss for task, loss, any_of_it in judged if any_of_it},
        metrics=tally.metrics(group),
        loss_WK=served.numpy(),
        ways=(by_way[0].numpy(), by_way[1].numpy()) if by_way else None,
    )


def _chapters(pieces: Sequence[Piece], layout: Layout, group: ProcessGroup | None) -> Iterator[Chapter]:
    """This rank's share. A piece's place among all of them draws its faults."""
    rank, ranks = (0, 1) if group is None else (group.rank(), group.size())
    copied = set(copied_among(len(pieces), np.random.default_rng(_FAULTS)))
    places = range(rank, len(pieces), ranks)
    for first in range(0, len(places), _TOGETHER):
        mine = places[first : first + _TOGETHER]
        faults = {n: np.random.default_rng([_FAULTS, place]) for n, place in enumerate(mine) if place in copied}
        yield judged_chapter([pieces[place] for place in mine], layout, faults)


def _sums(outputs: Outputs, chapter: Chapter, layout: Layout, *, few: bool) -> tuple[Tensor, Tensor]:
    """Of each piece: loss times mass by each way, [W, Y, K, G], and mass, which is the same by all, [W, K, G].

    Rows of one entity go together: windows are told apart only where pieces are few.
    """
    part_N, count = (chapter.window_N, chapter.windows) if few else (chapter.piece_N, chapter.pieces)
    asked = [outputs, *(outputs.by(answers) for answers in outputs.ways or ())]
    sums = [[each.sums(part_N, count) for each in row_losses(way, chapter.targets, layout)] for way in asked]
    loss_WYKG = torch.stack([torch.stack([loss_WG for loss_WG, _ in way], 1) for way in sums], 1)
    return loss_WYKG.cpu(), torch.stack([mass_WG for _, mass_WG in sums[0]], 1).cpu()
