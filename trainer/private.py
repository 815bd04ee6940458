"""Private paths: what each task can say alone, from the running statistics, sharing nothing; and which tasks do.

A path is at once the task's single-task twin, by which sharing is judged, and its private capacity where sharing harms
(Caruana, 1997, section 4, on tasks that compete for a shared layer). The statistics are the entity's state already, so
that a path keeps nothing of its own.

N rows, S signals, G features of a signal, I = S * G, K tasks, P width of a path, D width of the network.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.layout import Layout
from trainer.heads import AnomalyHead, ForecastHead, class_heads
from trainer.relations import inputs_of


class Private(nn.Module):
    """One hidden layer and one representation per task, in two products for all, and heads of their own.

    Attributes:
        detached: for each task: is it served by its private path? A buffer of the weights says so too, so that a
            version answers alike wherever it serves.
    """

    detached_K: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        model, tasks = layout.monitor.model, layout.tasks
        k, p, i = len(tasks), model.private, len(layout.signals) * inputs_of(layout)
        self.first_KPI = nn.Parameter(torch.empty(k, p, i).uniform_(-(i**-0.5), i**-0.5))
        self.first_KP = nn.Parameter(torch.zeros(k, p))
        self.second_KPD = nn.Parameter(torch.empty(k, p, model.width).uniform_(-(p**-0.5), p**-0.5))
        self.second_K1D = nn.Parameter(torch.zeros(k, 1, model.width))
        self.forecast = ForecastHead(layout)
        self.anomaly = AnomalyHead(layout.n_targets, model.width)
        self.states = class_heads(layout)
        self.register_buffer("detached_K", torch.tensor([task.share == "never" for task in tasks]))
        self.register_load_state_dict_post_hook(_follow)  # type: ignore[no-untyped-call]
        self.detached: tuple[bool, ...] = ()
        _follow(self)

    def forward(self, features_GNS: Tensor) -> Tensor:
        """What the private heads read, [K, N, D]."""
        feature_NI = features_GNS.permute(1, 2, 0).flatten(1)
        inner_NI = functional.gelu(functional.linear(feature_NI, self.first_KPI.flatten(0, 1), self.first_KP.flatten()))
        inner_KNP = inner_NI.view(feature_NI.shape[0], *self.first_KP.shape).permute(1, 0, 2)
        outer_KND = torch.baddbmm(self.second_K1D, inner_KNP, self.second_KPD)
        return functional.gelu(outer_KND.to(features_GNS.dtype))

    def detach_tasks(self, detached: Sequence[bool]) -> None:
        """From now on these tasks are served by their private paths."""
        self.detached_K.copy_(torch.tensor(detached))
        _follow(self)


def _follow(private: Private, _: object = None) -> None:
    """The buffer as plain words: reading a tensor in every pass would cost each batch, and bar export."""
    private.detached = tuple(private.detached_K.tolist())
