"""The order of signals, modalities and tasks in every array: derived once from the monitor."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from schemas.components import Cell
from schemas.modality import Modality, ModalityKind, Scope
from schemas.monitor import Monitor
from schemas.observation import Field
from schemas.signal import Signal, Transform
from schemas.task import Task, TaskKind

NO_YES = ("no", "yes")
"""Classes of an event task, and of the anomaly task's labels."""


@dataclass(frozen=True)
class Layout:
    """Column order of a monitor's arrays.

    Signals stand in the order entity, static, global; within a scope as configured, but those derived from frames and
    vectors first. Only the first `n_targets` (scope entity) are forecast and scored; the rest is context.
    """

    monitor: Monitor

    @cached_property
    def _placed(self) -> list[tuple[int, Signal]]:
        order = [Scope.ENTITY, Scope.STATIC, Scope.GLOBAL]
        return [
            (index, signal)
            for scope in order
            for is_vector in (True, False)
            for index, modality in enumerate(self.monitor.modalities)
            if modality.scope is scope and bool(modality.shape) is is_vector
            for signal in modality.carried
        ]

    @cached_property
    def signals(self) -> tuple[Signal, ...]:
        """All signals, S of them."""
        return tuple(signal for _, signal in self._placed)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all signals."""
        return tuple(signal.name for signal in self.signals)

    @cached_property
    def index(self) -> dict[str, int]:
        """Signal name -> column."""
        return {name: column for column, name in enumerate(self.names)}

    @cached_property
    def modality_of(self) -> tuple[int, ...]:
        """For each signal the index of its modality."""
        return tuple(index for index, _ in self._placed)

    def columns(self, *scopes: Scope) -> tuple[int, ...]:
        """Columns of the signals with one of these scopes."""
        return tuple(c for c, m in enumerate(self.modality_of) if self.monitor.modalities[m].scope in scopes)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """For each modality its recurrent cell."""
        return tuple(modality.cell or self.monitor.model.cell for modality in self.monitor.modalities)

    @cached_property
    def cell(self) -> Cell | None:
        """The recurrent cell of every modality; None: they differ."""
        first, *others = dict.fromkeys(self.cells)
        return None if others else first

    @cached_property
    def vectors(self) -> dict[str, Modality]:
        """The modalities whose rows carry a frame or a vector beside the signals derived from it, by name."""
        return {modality.name: modality for modality in self.monitor.modalities if modality.shape}

    @cached_property
    def n_derived(self) -> int:
        """How many signals (the first ones) are derived from frames and vectors: they stand in no message."""
        return sum(len(modality.carried) for modality in self.vectors.values())

    def derived(self, name: str) -> slice:
        """Columns of the signals derived from a frame or vector."""
        modality = self.vectors[name]
        start = self.index[modality.carried[0].name]
        return slice(start, start + len(modality.carried))

    @cached_property
    def n_targets(self) -> int:
        """How many signals (the first ones) are forecast and scored."""
        return len(self.columns(Scope.ENTITY))

    @cached_property
    def logarithmic(self) -> tuple[bool, ...]:
        """For each signal: is it modelled as its logarithm?"""
        return tuple(signal.transform is Transform.LOG_RETURN for signal in self.signals)

    @cached_property
    def differenced(self) -> tuple[bool, ...]:
        """For each signal: is its change the thing to judge, its level being a random walk?"""
        return tuple(signal.transform is not Transform.LEVEL for signal in self.signals)

    @cached_property
    def forecast(self) -> Task:
        """The forecast task."""
        return next(task for task in self.monitor.tasks if task.kind is TaskKind.FORECAST)

    @cached_property
    def anomaly(self) -> Task:
        """The anomaly task."""
        return next(task for task in self.monitor.tasks if task.kind is TaskKind.ANOMALY)

    @cached_property
    def states(self) -> tuple[Task, ...]:
        """The state tasks, in the order configured."""
        return tuple(task for task in self.monitor.tasks if task.kind is TaskKind.STATE)

    @cached_property
    def events(self) -> tuple[Task, ...]:
        """The event tasks, in the order configured."""
        return tuple(task for task in self.monitor.tasks if task.kind is TaskKind.EVENT)

    @cached_property
    def choices(self) -> tuple[Task, ...]:
        """The tasks that are answered by a choice among classes: states first, then events."""
        return (*self.states, *self.events)

    @cached_property
    def labelled(self) -> dict[str, tuple[str, ...]]:
        """Task -> its classes, of the tasks that labels teach: a state with a target is told by its rule what came."""
        told = [task.name for task in (self.anomaly, *self.choices) if task.target is None]
        return {name: self.classes.get(name, NO_YES) for name in told}

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks, in the order of their losses and the network's arrays: forecast, anomaly, then the choices."""
        return self.forecast, self.anomaly, *self.choices

    @cached_property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Task -> its classes, of all `choices`."""
        return {task.name: task.classes for task in self.states} | {task.name: NO_YES for task in self.events}


def no_vectors(layout: Layout, n: int) -> dict[str, Field]:
    """Frames and vectors of n rows that carry none, as in `Batch`."""
    return {
        name: np.zeros((n, *modality.shape), dtype=np.uint8 if modality.kind is ModalityKind.IMAGE else np.float32)
        for name, modality in layout.vectors.items()
    }
