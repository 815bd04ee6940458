"""Weights of one network in another: a task joins a trained model, horizons change, another domain starts warm.

A weight's name ends in its shape (`query_KAD`), and some of its axes have named rows: tasks, horizons, quantiles,
modalities. What both networks have is taken row by row, so that the order in which tasks are configured may change.
"""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from schemas.layout import Layout
from trainer.architecture import OF_DOMAIN, OF_TASKS, Architecture, fitting, tasks_by_name
from trainer.network import Network
from trainer.weights import CUT, SIDES, WEIGHTS, differences, fresh_for, read_weights

TRUNK, TASKS = "trunk", "tasks"
"""Groups of weights."""
_NAMED_AXES = {
    "encoder": "M",
    "encoders": "M",
    "fusion": "K",
    "fusions": "K",
    "sharing": "K",
    "attention": "K",
    "forecast": "HQ",
    "regression": "H",
    "private": "K",
}
"""Module -> axes of its weights whose rows have names; the letters are those of the module's legend."""
_READS_SIGNALS = ".input_MI2D"
"""The encoder's."""
_AXIS = re.compile(r"1|[02-9]*[A-Z]")
_NUMBERED = re.compile(
    r"^(states|private\.states|private\.paths|standing\.counts|rule_odds\.slopes|trunk\.encoders|trunk\.fusions)\.(\d+)"
)
"""Modules of which each task has its own."""
_OF_ALL = "trunk.", "private.paths"
"""Those that forecast and anomaly have too."""
_HEADS = {"forecast": 0, "regression": 0, "anomaly": 1}
"""Module -> the place of the first two tasks' one that it is of."""
FIRST_NAMED = 2
"""Place of the first task after those: a state or event."""
Labels = Mapping[str, Sequence[object]]
"""Axis -> the names of its rows."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a network took over; by name of the weight.

    Attributes:
        network: the network.
        taken: whole.
        partly: those rows that both have.
        fresh: not at all, so that they are as in any new network.
        others: state or event task -> what it asks else than the one of its name did, which gave it nothing.
    """

    network: Network
    taken: tuple[str, ...]
    partly: tuple[str, ...]
    fresh: tuple[str, ...]
    others: Mapping[str, str]


def transfer(layout: Layout, content: bytes, source: str = WEIGHTS) -> Transfer:
    """A network that starts from another one's weights, from `save_weights`, which refusals call `source`.

    Tasks, horizons and quantiles may differ; a state or event task that asks something else is another one, whatever
    its name; one that learns by another loss is the same. So may modalities and signals: then that part of the trunk is
    taken which does not depend on signals (cells, modality by modality as they stand; fusion, task attention, sharing).
    Where modalities have different cells, both networks must have the same ones in the same order.

    Raises:
        ModelError: the content is torn, not finite, of another format or of other model settings (the first is named).
    """
    seen, weights = read_weights(content, source)
    network = fresh_for(layout, seen, source, OF_TASKS + OF_DOMAIN)
    expected = fitting(network.layout, seen)
    here, there = _labels(expected), _labels(seen)
    same_domain = _without((CUT, *OF_TASKS), seen) == _without(OF_TASKS, expected)
    found = {_by_task(name, there): weight for name, weight in weights.items() if same_domain or _of_no_signal(name)}
    names: dict[str, list[str]] = {"taken": [], "partly": [], "fresh": []}
    for name, weight in network.state_dict().items():
        other = found.get(_by_task(name, here))
        names["fresh" if other is None else _take(name, weight, other, here, there)].append(name)
    network.load_state_dict(network.state_dict())  # whoever was detached is so again
    taken, partly, fresh = map(tuple, names.values())
    return Transfer(network, taken, partly, fresh, dict(_others(seen, expected)))


def weight_groups(network: Network) -> dict[str, list[Parameter]]:
    """Every weight once: `trunk` serves all tasks; `tasks` are each task's own: query, private layer, gates, head."""
    groups: dict[str, list[Parameter]] = {TRUNK: [], TASKS: []}
    for name, weight in network.named_parameters():
        own = not name.startswith("trunk.") or _NUMBERED.match(name) or "K" in _axes(name, weight.dim())
        groups[TASKS if own else TRUNK].append(weight)
    return groups


def rows_of_tasks(network: Network, tasks: Collection[str]) -> dict[str, tuple[Tensor | slice, ...]]:
    """Where the weights of these tasks lie: per name in `state_dict` an index; those without such rows are left out."""
    labels = [task.name for task in network.layout.tasks]
    places = torch.tensor([place for place, task in enumerate(labels) if task in tasks])
    found: dict[str, tuple[Tensor | slice, ...]] = {}
    for name, weight in network.state_dict().items():
        owner, axes = _owner(name), _axes(name, weight.dim())
        if owner is not None and labels[owner] in tasks:
            found[name] = (slice(None),)
        elif owner is None and "K" in axes:
            found[name] = (*(slice(None) for _ in range(axes.index("K"))), places)
    return found


def _without(parts: Sequence[str], whole: Architecture) -> Architecture:
    return {name: part for name, part in whole.items() if name not in parts}


def _labels(described: Architecture) -> Labels:
    tasks = ["forecast", "anomaly", *(json.dumps(task, sort_keys=True) for task in _asked(described).items())]
    modalities = range(len(described["modalities"]))
    horizons, quantiles = described["horizons"], described["quantiles"]
    return {"K": [*tasks, "no task"], "H": horizons, "Q": quantiles, "M": modalities}


def _asked(described: Architecture) -> dict[str, dict[str, Any]]:
    """State or event task -> what it asks, whatever it learns by."""
    tasks = [*tasks_by_name(described).items()][FIRST_NAMED:]
    return {name: {part: each for part, each in meaning.items() if part != "loss"} for name, meaning in tasks}


def _others(seen: Architecture, expected: Architecture) -> Iterator[tuple[str, str]]:
    there = _asked(seen)
    for task, meaning in _asked(expected).items():
        if (why := next(differences(there.get(task, meaning), meaning, words=SIDES), None)) is not None:
            yield task, why


def _by_task(name: str, labels: Labels) -> str:
    """The name with its task instead of the task's number."""
    found = _NUMBERED.match(name)
    if found is None:
        return name
    return f"{found[1]} of {labels['K'][_task_of(found)]}{name[found.end() :]}"


def _owner(name: str) -> int | None:
    """The place of the one task that a weight is of, its head's mostly; None: it is of several or of none."""
    if numbered := _NUMBERED.match(name):
        return _task_of(numbered)
    module = name.removeprefix("private.").partition(".")[0]
    return _HEADS.get(module)


def _task_of(numbered: re.Match[str]) -> int:
    """The place of a numbered module's task among all: states are numbered after forecast and anomaly."""
    return int(numbered[2]) + (0 if numbered[1].startswith(_OF_ALL) else FIRST_NAMED)


def _of_no_signal(name: str) -> bool:
    return name.startswith("trunk.") and not name.endswith(_READS_SIGNALS)


def _axes(name: str, dim: int) -> list[str]:
    """Per axis of the weight its letter where its rows have names, else nothing."""
    *modules, weight = name.split(".")
    letters = "".join(_NAMED_AXES.get(module, "") for module in modules)
    axes = [axis if axis in letters else "" for axis in _AXIS.findall(weight.rpartition("_")[2])]
    return axes or [""] * dim


def _take(name: str, weight: Tensor, other: Tensor, here: Labels, there: Labels) -> str:
    """Copy the rows that both have, in place; returns the field of `Transfer` that tells of it."""
    sizes = zip(_axes(name, weight.dim()), weight.shape, other.shape, strict=True)
    common = [_common(_rows(axis, n, here), _rows(axis, m, there)) for axis, n, m in sizes]
    to, origin = (np.ix_(*(pairs[side] for pairs in common)) for side in (0, 1))
    weight[to] = other[origin]
    copied = math.prod(len(places) for places, _ in common)
    return "fresh" if not copied else "taken" if copied == weight.numel() else "partly"


def _rows(axis: str, length: int, labels: Labels) -> Sequence[object]:
    """What the rows of an axis stand for; without labels, a place on an axis so long."""
    return labels[axis][:length] if axis in labels else [(length, place) for place in range(length)]


def _common(mine: Sequence[object], theirs: Sequence[object]) -> tuple[list[int], list[int]]:
    """Places of the rows that both have: in mine, in theirs."""
    places = {row: place for place, row in enumerate(theirs)}
    both = [(place, places[row]) for place, row in enumerate(mine) if row in places]
    return [place for place, _ in both], [place for _, place in both]
