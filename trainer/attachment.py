"""Which tasks share: judged task by task, prequentially, by what both ways lose on the same windows.

A task is detached where its private path is the better one with confidence, and attached again where the shared way is;
in between it stays as it is, and after a change it is judged by windows that came since. What is served is so never
worse, for long, than a twin that shares nothing (negative transfer: Standley et al., 2020, section 4). Fitting judges
by the same rule after each epoch, on the pieces kept aside.

N rows, W windows, K tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from schemas.layout import Layout
from schemas.observation import Float64
from schemas.task import Share
from trainer.gate import Gate
from trainer.losses import TaskLoss

_CONFIDENCE = 2.5
"""Standard errors a mean difference must be away from 0; it is looked at again and again, so 2 are too few."""
_TOLD = 1.5
"""The same online of a task that asks of entities as a whole: outcomes are few, and while they are, each is dear."""
_WINDOWS = 4
"""Times as many windows are looked back at as by the gate between versions: a change is for longer."""
_LEAST = 2
"""Times as many must have been judged: in its first steps the smaller network is ahead, whatever sharing will do."""
_LEAST_PIECES = 32
"""Kept aside that have a say on a task; a short history changes nothing."""
_RECENT = 0.02
"""Rate at which the losses that are shown forget, a step."""


@dataclass(frozen=True, slots=True)
class TaskSharing:
    """Where one task stands.

    Attributes:
        path: shared or private: what serves it.
        shared: recent loss of the shared way, standardised; None not judged yet.
        private: of the private one.
        difference: shared minus private on the last windows, with its lower and upper bound; None too few yet.
        changes: how often it changed its path.
    """

    path: str
    shared: float | None
    private: float | None
    difference: tuple[float, float, float] | None
    changes: int


@dataclass(frozen=True, slots=True)
class WayLosses:
    """A step's losses by the shared way and by the private one; `private` is empty where there are no such paths."""

    shared: Sequence[TaskLoss]
    private: Sequence[TaskLoss]
    detached: Sequence[bool]

    @property
    def served(self) -> list[TaskLoss]:
        """Each task's by the way that serves it."""
        return [self.private[task] if alone else self.shared[task] for task, alone in enumerate(self.detached)]

    @property
    def pulling(self) -> list[TaskLoss]:
        """What moves all that is shared: a detached task counts as one that could not be judged."""
        return [
            replace(each, loss_N=each.loss_N.detach(), weight_N=torch.zeros_like(each.weight_N)) if alone else each
            for each, alone in zip(self.shared, self.detached, strict=True)
        ]

    @property
    def aside(self) -> Tensor:
        """What moves nothing shared: the private paths, and how detached tasks read what is shared, unheard by it."""
        reading = [self.shared[task] for task, alone in enumerate(self.detached) if alone]
        return torch.stack([each.mean() for each in [*self.private, *reading]]).sum()

    def metrics(self, tasks: Sequence[str]) -> dict[str, float]:
        """`<task>.shared_loss` and `<task>.private_loss`, of tasks that were judged; empty without private paths."""
        return {
            f"{task}.{name}": float(way[place].mean().detach())
            for name, way in (("shared_loss", self.shared), ("private_loss", self.private))
            for place, task in enumerate(tasks)
            if self.private and way[place].judged()
        }


@dataclass(frozen=True, slots=True)
class Change:
    """A task takes the other way; the difference it was decided on is shared minus private, with its bounds."""

    task: int
    detached: bool
    difference: float
    lower: float
    upper: float

    def metrics(self, name: str) -> dict[str, float]:
        """As rows of the task's metrics."""
        found = {f"{name}.detached": float(self.detached)}
        return found | sharing_costs(name, (self.difference, self.lower, self.upper))


def sharing_costs(task: str, difference: Sequence[float]) -> dict[str, float]:
    """Shared minus private loss with its lower and upper bound, as rows of a task's metrics."""
    named = ("sharing_costs", "sharing_costs_least", "sharing_costs_most")
    return {f"{task}.{name}": value for name, value in zip(named, difference, strict=True)}


class Attachment:
    """Judges both ways of every task. Moved by the learner alone; the decision itself is part of the weights.

    Args:
        layout: the tasks, whose `share` may forbid a change.
        pieces: of history, all of which are judged at once; None: windows are judged as they come.
    """

    def __init__(self, layout: Layout, pieces: int | None = None) -> None:
        self._tasks = layout.tasks
        windows = layout.monitor.training.gate_windows
        span = (_WINDOWS * windows, _LEAST * windows) if pieces is None else (max(pieces, _LEAST_PIECES), _LEAST_PIECES)
        self._gates = [Gate(1, *span) for _ in self._tasks]
        self._errors = [_TOLD if pieces is None and task.of_whole else _CONFIDENCE for task in self._tasks]
        self._lost: list[tuple[float, float] | None] = [None] * len(self._tasks)
        self._changes = [0] * len(self._tasks)

    def judge(self, shared_WK: Float64, private_WK: Float64, detached: Sequence[bool]) -> list[Change]:
        """Take in both ways' losses on windows that neither had learned (NaN = not judged); say who changes over."""
        self.add(shared_WK, private_WK)
        changes = self.due(detached)
        for change in changes:
            self._changes[change.task] += 1
            self._gates[change.task].clear()
        return changes

    def add(self, shared_WK: Float64, private_WK: Float64) -> None:
        """Take in both ways' losses alone."""
        for task, gate in enumerate(self._gates):
            gate.add(shared_WK[:, [task]], private_WK[:, [task]])
            self._remember(task, shared_WK[:, task], private_WK[:, task])

    def due(self, detached: Sequence[bool]) -> list[Change]:
        """Who would change over, by what was taken in."""
        return [change for task, was in enumerate(detached) if (change := self._change(task, was)) is not None]

    def standing(self, detached: Sequence[bool]) -> Mapping[str, TaskSharing]:
        """Task -> where it stands."""
        return {
            task.name: TaskSharing(
                "private" if detached[place] else "shared",
                *self._losses(place),
                self._bounds(place),
                self._changes[place],
            )
            for place, task in enumerate(self._tasks)
        }

    def state_dict(self) -> dict[str, Any]:
        """What was judged so far."""
        lost = [None if each is None else list(each) for each in self._lost]
        return {"gates": [gate.state_dict() for gate in self._gates], "lost": lost, "changes": list(self._changes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what another one judged."""
        for gate, saved in zip(self._gates, state["gates"], strict=True):
            gate.load_state_dict(saved)
        self._lost = [None if each is None else (each[0], each[1]) for each in state["lost"]]
        self._changes = list(state["changes"])

    def _change(self, task: int, was: bool) -> Change | None:
        bounds = self._bounds(task)
        if self._tasks[task].share is not Share.AUTO or bounds is None:
            return None
        _, lower, upper = bounds
        return Change(task, not was, *bounds) if (upper < 0.0 if was else lower > 0.0) else None

    def _bounds(self, task: int) -> tuple[float, float, float] | None:
        verdict = self._gates[task].verdict()
        mean, error = float(verdict.difference_K[0]), self._errors[task] * float(verdict.error_K[0])
        return None if np.isnan(error) else (mean, mean - error, mean + error)

    def _losses(self, task: int) -> tuple[float | None, float | None]:
        return self._lost[task] or (None, None)

    def _remember(self, task: int, shared_W: Float64, private_W: Float64) -> None:
        judged_W = ~np.isnan(shared_W)
        if judged_W.any():
            shared, private = float(shared_W[judged_W].mean()), float(private_W[judged_W].mean())
            before = self._lost[task] or (shared, private)
            self._lost[task] = tuple(b + _RECENT * (n - b) for b, n in zip(before, (shared, private), strict=True))  # type: ignore[assignment]
