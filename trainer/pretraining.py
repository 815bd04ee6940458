"""Pretraining: epochs that learn from every row and need no label.

Nothing that was told is used: values ahead are forecast, faults are injected, states follow from rules. And values are
hidden from their rows, to be told from the rest (masked values: Devlin et al., 2019, section 3.1; of multivariate
series: Zerveas et al., 2021, section 3.2). A hidden value is a forecast at horizon 0: the same kind of head says its
quantiles from the forecast's representation, in the same unit. That head goes when pretraining ends.

N rows, S signals that are forecast.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from schemas.layout import Layout
from schemas.task import TaskKind
from trainer.attachment import WayLosses
from trainer.chapter import Chapter
from trainer.fit import Epoch, Fit
from trainer.heads import ForecastHead
from trainer.history import Piece
from trainer.losses import Targets, TaskLoss, forecast_loss
from trainer.network import Network, Outputs

_HIDDEN = 0.2
"""Share of the values of signals that are forecast."""
_HEAD = "hidden_values"
"""The head's name in the network while it lasts."""
_SEED = 15
"""Of what is hidden, beside the fit's own: faults and order are as they would be."""


def pretrain(
    network: Network,
    layout: Layout,
    pieces: Sequence[Piece],
    validation: Sequence[Piece],
    seed: int,
    group: ProcessGroup | None = None,
    device: torch.device | None = None,
) -> Iterator[Epoch]:
    """Learn in place, `fitting.pretrain` epochs, each as it is done. Arguments are those of `Fit`.

    The learning rate rises and falls within these epochs; fitting starts over with its own. The network has the same
    weights, by name and shape, before and after.
    """
    epochs = layout.monitor.fitting.pretrain
    if not epochs:
        return
    fitting = layout.monitor.fitting.model_copy(update={"epochs": epochs})
    untold = [_untold(piece) for piece in pieces]
    network.add_module(_HEAD, ForecastHead(at_once(layout)))
    try:
        fit = Pretraining(
            network,
            Layout(layout.monitor.model_copy(update={"fitting": fitting})),
            untold,
            validation,
            seed,
            group,
            device,
        )
        for _ in range(epochs):
            yield fit.epoch()
    finally:
        delattr(network, _HEAD)


class Pretraining(Fit):
    """A fit whose forecast answers for hidden values too, half and half with those ahead."""

    def _chapters(self) -> Iterator[Chapter]:
        rng = np.random.default_rng([_SEED, self._seed, self.epochs])
        for chapter in super()._chapters():
            yield hidden(chapter, self._layout, rng)

    def _losses(self, outputs: Outputs, targets: Targets) -> WayLosses:
        ways = super()._losses(outputs, targets)
        ahead, *rest = ways.shared
        return replace(ways, shared=[_both(ahead, hidden_loss(self.network, outputs, targets)), *rest])


def hidden(chapter: Chapter, layout: Layout, rng: np.random.Generator) -> Chapter:
    """The chapter with some of its values hidden, so that to all who read the rows they never came."""
    value_NS = chapter.rows.value_NS
    drawn_NS = torch.from_numpy(rng.random(value_NS.shape) < _HIDDEN).to(value_NS.device)
    drawn_NS &= chapter.clean_N[:, None]
    drawn_NS[:, : layout.n_derived] = False  # their frame or vector would still show them
    drawn_NS[:, layout.n_targets :] = False
    target_NS = torch.where(drawn_NS, value_NS, torch.nan)[:, : layout.n_targets]
    return replace(
        chapter,
        rows=replace(chapter.rows, value_NS=torch.where(drawn_NS, torch.nan, value_NS)),
        targets=replace(chapter.targets, hidden_NS=target_NS),
    )


def hidden_loss(network: Network, outputs: Outputs, targets: Targets) -> TaskLoss:
    """What telling the hidden values costs, as the forecast is judged one row ahead: 1 is persistence."""
    assert targets.hidden_NS is not None
    wanted = replace(targets, future_NSH=targets.hidden_NS[..., None])
    return forecast_loss(
        replace(outputs, forecast_NSHQ=told(network, outputs)), wanted, at_once(network.layout)
    ).weighed()


def told(network: Network, outputs: Outputs) -> Tensor:
    """Quantiles of what each row's values are, hidden or not, [N, S, 1, Q] model scale; NaN for a signal never seen."""
    read_ND = outputs.read_ND.detach() if network.detached[0] else outputs.read_ND
    quantiles_NS1Q: Tensor = network.get_submodule(_HEAD)(read_ND, network.read(outputs.observed), outputs.observed)
    return quantiles_NS1Q


def at_once(layout: Layout) -> Layout:
    """The monitor as if it forecast one value: what is right there."""
    tasks = tuple(
        task.model_copy(update={"horizons": (1,)}) if task.kind is TaskKind.FORECAST else task
        for task in layout.monitor.tasks
    )
    return Layout(layout.monitor.model_copy(update={"tasks": tasks}))


def _both(ahead: TaskLoss, here: TaskLoss) -> TaskLoss:
    loss_2N, weight_2N = (torch.cat(pair) for pair in ((ahead.loss_N, here.loss_N), (ahead.weight_N, here.weight_N)))
    return TaskLoss(ahead.task, loss_2N, 0.5 * weight_2N)


def _untold(piece: Piece) -> Piece:
    """A piece of which nobody said anything."""
    stream = piece.stream
    faulty = np.broadcast_to(np.nan, stream.faulty.shape)
    classes = np.broadcast_to(np.int64(-1), stream.classes.shape)
    return replace(piece, stream=replace(stream, faulty=faulty, classes=classes))
