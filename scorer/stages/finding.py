"""One finding: a row's strength for one kind of alert, beside what is remembered of that entity and kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from schemas.alert import LEARNED, Change
from schemas.alerting import Severity
from schemas.layout import Layout
from schemas.observation import Field


@dataclass(frozen=True, slots=True)
class Kind:
    """What can raise an alert.

    Attributes:
        task: what asks.
        kind: what is found.
        rule: its column in the rule scores.
        choice: its place among the state and event tasks.
        question: the place of the network's task behind it (0 is the forecast, 1 the anomaly, then the choices): of a
            rule, the state task whose classes follow from it; None where there is none.
        severities: what its strength must reach; a rule may have none.
    """

    task: str
    kind: str
    rule: int | None = None
    choice: int | None = None
    question: int | None = None
    severities: Mapping[Severity, float] = field(default_factory=dict)

    @property
    def steered(self) -> bool:
        """Is its threshold the learned score's, which moves with the alerts?"""
        return self.rule is None and self.choice is None

    @property
    def source(self) -> str:
        """What sort of thing asks: anomaly, rule, state or event."""
        if self.rule is not None:
            return "rule"
        return "anomaly" if self.choice is None else self.kind


def kinds_of(layout: Layout) -> list[Kind]:
    """What can raise an alert: the anomaly score, each rule, then each state and event task that has severities."""
    fed = {task.target.rule: place for place, task in enumerate(layout.states, start=2) if task.target is not None}
    rules = [
        Kind(rule.name, rule.kind.value, rule=column, question=fed.get(rule.name), severities=rule.severities)
        for column, rule in enumerate(layout.monitor.rules)
    ]
    choices = [
        Kind(task.name, task.kind.value, choice=place, question=2 + place, severities=task.severities)
        for place, task in enumerate(layout.choices)
        if task.severities
    ]
    return [Kind(layout.anomaly.name, LEARNED, question=1), *rules, *choices]


@dataclass(slots=True)
class Memory:
    """What one entity remembers of one kind. Rows are counted per entity; ranks are `Severity.rank`, 0 = none.

    `below` counts rows in a row that reach no severity, those of a feed in doubt as negative ones. `raised` is how far
    its threshold stood above the start when `raised_row`, its last alert, came.
    """

    open_rank: int
    above: int
    above_row: int
    below: int
    quiet_until: int
    peak: float
    started_ms: int
    peak_ms: int
    raised: float
    raised_row: int

    @property
    def is_open(self) -> bool:
        """Is an alert firing?"""
        return self.open_rank > 0


MEMORY_FIELDS: dict[str, type[np.generic]] = {
    "open_rank": np.int8,
    "above": np.int16,
    "above_row": np.int64,
    "below": np.int16,
    "quiet_until": np.int64,
    "peak": np.float32,
    "started_ms": np.int64,
    "peak_ms": np.int64,
    "raised": np.float32,
    "raised_row": np.int64,
}


def initial_memory(n_kinds: int) -> dict[str, Field]:
    """State of an entity never seen: field ``alert.<name>``, [1, n_kinds]."""
    return {f"alert.{name}": np.zeros((1, n_kinds), dtype=dtype) for name, dtype in MEMORY_FIELDS.items()}


@dataclass(frozen=True, slots=True)
class Finding:
    """A row under judgement. `row_number` counts the entity's rows, `rank` is 0 where nothing was reached.

    `strictness` is how much stronger it must be, by what people said; `lent`: its entity began with others'
    experience; `stands`: what it foretells does already; `doubted`: the feed of what it is about is failing.

    Where a budget is kept, `worth` and `price` are those of an alarm; `always`: it is raised whatever it costs.
    """

    row_number: int
    time_ms: int
    rank: int
    strength: float
    steered: bool
    strictness: float = 0.0
    lent: bool = False
    stands: bool = False
    doubted: bool = False
    worth: float = 0.0
    price: float = 0.0
    always: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What a stage decided, and why. `change` None: nothing is written. `rank` is the alert's severity then."""

    change: Change | None
    reason: str
    rank: int = 0


class Stage(Protocol):
    """Decides, or passes the finding on by returning None. May change the memory."""

    def __call__(self, finding: Finding, memory: Memory) -> Decision | None:
        """Judge one finding."""
        ...
