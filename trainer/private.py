"""Private paths: what each task can say alone, from the running statistics, sharing nothing; and which tasks do.

A path is at once the task's single-task twin, by which sharing is judged, and its private capacity where sharing harms
(Caruana, 1997, section 4, on tasks that compete for a shared layer). The statistics are the entity's state already, so
that a path keeps nothing of its own.

Too low and too high are often both bad, and so narrow a layer has no room to learn that of each signal: how far from
usual the placed statistics lie, either way, is read beside them. So is how often a signal was measured, if ever, at a
scale that is heard: people look where they worry (Agniel et al., 2018).

Labels about an entity as a whole, of event tasks, are few and stand on all its rows, so that a path would learn
entities by heart: while it is fitted, each row lacks some signals, drawn anew (dropout of inputs: Srivastava et al.,
2014, section 4; whole signals, as if they never came).

N rows, S signals, G of a signal: features, distances, frequencies; I = S * G, K tasks, P width of a path, D width of
the network.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.layout import Layout
from schemas.task import Share, Task
from trainer.heads import AnomalyHead, ForecastHead, class_heads
from trainer.population import N_PLACED
from trainer.relations import inputs_of
from trainer.statistics import COUNT_FEATURE, COUNT_SHARE, N_FEATURES

_PLACED = slice(N_FEATURES, N_FEATURES + N_PLACED)
_N_MEASURED = 2
_MANY = 400
"""Inputs of about twenty signals. Between one signal and 41 nothing was measured."""
_FEW = 1.0
"""Logarithm of measurements that is neither often nor seldom."""


class Path(nn.Module):
    """One task's weights: apart from the others', so that a step which teaches it nothing leaves them alone."""

    def __init__(self, inputs: int, inner: int, width: int) -> None:
        super().__init__()
        self.first_PI = nn.Parameter(torch.empty(inner, inputs).uniform_(-(inputs**-0.5), inputs**-0.5))
        self.first_P = nn.Parameter(torch.zeros(inner))
        self.second_PD = nn.Parameter(torch.empty(inner, width).uniform_(-(inner**-0.5), inner**-0.5))
        self.second_1D = nn.Parameter(torch.zeros(1, width))


class Private(nn.Module):
    """One hidden layer and one representation per task, in two products for all, and heads of their own.

    Attributes:
        detached: for each task: is it served by its private path? A buffer of the weights says so too, so that a
            version answers alike wherever it serves. Where the monitor says `always` or `never`, weights that were
            made before it did follow.
    """

    detached_K: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        model, tasks = layout.monitor.model, layout.tasks
        inputs = len(layout.signals) * (inputs_of(layout) + N_PLACED + _N_MEASURED)
        self._events = slice(len(tasks) - len(layout.events), len(tasks))
        self.paths = nn.ModuleList(Path(inputs, model.private, model.width) for _ in tasks)
        self.forecast = ForecastHead(layout)
        self.anomaly = AnomalyHead(layout)
        self.states = class_heads(layout)
        self.register_buffer("detached_K", torch.tensor([_apart(task, layout, inputs) for task in tasks]))
        self._said = {at: task.share is Share.NEVER for at, task in enumerate(tasks) if task.share is not Share.AUTO}
        self.register_load_state_dict_post_hook(_follow)  # type: ignore[no-untyped-call]
        self.detached: tuple[bool, ...] = ()
        _follow(self)

    def forward(self, features_GNS: Tensor, shown_NS: Tensor | None = None) -> Tensor:
        """What the private heads read, [K, N, D].

        Args:
            features_GNS: what the network reads of each signal.
            shown_NS: 0 where an event task must not see a signal, else 1; None: all see everything.
        """
        if shown_NS is None:
            inner_NKP = self._first(features_GNS, slice(None))
        else:
            others = self._first(features_GNS, slice(self._events.start))
            inner_NKP = torch.cat([others, self._first(features_GNS * shown_NS, self._events)], 1)
        inner_KNP = functional.gelu(inner_NKP).permute(1, 0, 2)
        outer_KND = torch.baddbmm(self._each("second_1D"), inner_KNP, self._each("second_PD"))
        return functional.gelu(outer_KND.to(features_GNS.dtype))

    def detach_tasks(self, detached: Sequence[bool]) -> None:
        """From now on these tasks are served by their private paths."""
        self.detached_K.copy_(torch.tensor(detached))
        _follow(self)

    def own(self, task: int) -> tuple[nn.Module, ...]:
        """What is a task's alone."""
        return self.paths[task], (self.forecast, self.anomaly, *self.states)[task]

    def _each(self, weight: str, tasks: slice = slice(None)) -> Tensor:
        """These tasks' weights of one name, stacked: one product answers all of them."""
        return torch.stack([getattr(path, weight) for path in list(self.paths)[tasks]])

    def _first(self, features_GNS: Tensor, tasks: slice) -> Tensor:
        """Of these tasks, [N, K, P], before the bend."""
        read_GNS = torch.cat([features_GNS, _measured(features_GNS), features_GNS[_PLACED].abs()])
        weight_KPI, bias_KP = self._each("first_PI", tasks), self._each("first_P", tasks)
        read_NI = read_GNS.permute(1, 2, 0).flatten(1)
        return functional.linear(read_NI, weight_KPI.flatten(0, 1), bias_KP.flatten()).view(-1, *bias_KP.shape)


def _apart(task: Task, layout: Layout, inputs: int) -> bool:
    """Does a task begin on its private path, until sharing has proved the better way?

    One that asks of entities as a whole, where a path reads enough to learn fast, and what all share would learn the
    few labels by heart: of 41 signals a path was ahead from 400 outcomes on, of one signal far behind after 400. Frames
    and vectors are nothing that it reads.
    """
    learns_fast = inputs >= _MANY and not layout.vectors
    return task.share is Share.NEVER or (task.share is Share.AUTO and task.of_whole and learns_fast)


def _measured(features_GNS: Tensor) -> Tensor:
    """How often each signal was measured, and whether ever, [2, N, S]; the one thing said of a signal never seen."""
    often_NS = features_GNS[COUNT_FEATURE] * (1.0 / COUNT_SHARE)
    return torch.stack([often_NS - _FEW, (often_NS > 0).to(often_NS.dtype) - 0.5])


def _follow(private: Private, _: object = None) -> None:
    """The buffer as plain words: reading a tensor in every pass would cost each batch, and bar export."""
    for task, alone in private._said.items():  # noqa: SLF001 - its own hook
        private.detached_K[task] = alone
    private.detached = tuple(private.detached_K.tolist())
