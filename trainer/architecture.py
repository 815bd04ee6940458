"""What weights are for: the network's shape, what it reads, and what its tasks mean."""

import json
from collections.abc import Mapping
from typing import Any

from schemas.components import ModelSettings
from schemas.duration import exact_form
from schemas.horizon import name_of
from schemas.layout import Layout
from schemas.rule import Rule
from schemas.task import Share, Task

FORMAT = "8"
"""Changes whenever names or sizes of weights come to be others, or to mean something else."""
_NO_MEANING = {"seed", "half_state"}
"""Model settings that weights do not depend on once they are there."""
_NAMED_WHERE_SET = ("similarity_bias", "residuals")
"""Model settings of later than the format: weights from before them are as their defaults say."""
OF_TASKS, OF_DOMAIN = (
    ("horizons", "quantiles", "classes", "standings", "tasks"),
    ("modalities", "signals", "targets", "vectors", "rules", "relations"),
)
"""Parts of an architecture that differ between a monitor's tasks, and between domains: the rest can be transferred."""
Architecture = dict[str, Any]
"""What weights were made for, as JSON has it."""


def architecture(layout: Layout) -> Architecture:
    """Everything that the weights' meaning depends on."""
    monitor, forecast = layout.monitor, layout.forecast
    placed = zip(layout.signals, layout.modality_of, strict=True)
    said = set(_NAMED_WHERE_SET) & monitor.model.model_dump(exclude_defaults=True).keys()
    without_meaning = _NO_MEANING | set(_NAMED_WHERE_SET) - said
    rules = {rule.name: rule for rule in monitor.rules}
    parts: Architecture = {
        "format": FORMAT,
        **monitor.model.model_dump(mode="json", exclude=without_meaning),
        "cell": layout.cell or layout.cells,
        "modalities": [[modality.name, modality.scope] for modality in monitor.modalities],
        "signals": [
            [signal.name, signal.unit, signal.range, signal.transform, modality] for signal, modality in placed
        ],
        "targets": layout.n_targets,
        "horizons": [name_of(horizon) for horizon in forecast.horizons],
        "quantiles": forecast.quantiles,
        "classes": list(layout.classes.items()),
        "tasks": [_meaning(task, rules) for task in layout.tasks],
        **({"rules": _rules(layout)} if monitor.knowledge.features else {}),
        **({"relations": _relations(layout)} if monitor.knowledge.relations else {}),
    }
    if standings := {task.name: task.target.standing for task in layout.states if task.target and task.target.standing}:
        parts["standings"] = {name: standing.model_dump(mode="json") for name, standing in standings.items()}
    if layout.vectors:
        parts["vectors"] = [[name, modality.shape] for name, modality in layout.vectors.items()]
    plain: Architecture = json.loads(json.dumps(parts))
    return plain


def as_told(expected: Architecture, seen: Architecture) -> Architecture:
    """What must be said where less was: weights from before tasks' meaning was written down say nothing of it."""
    return {name: part for name, part in expected.items() if name != "tasks" or name in seen}


def fitting(layout: Layout, seen: Architecture) -> Architecture:
    """What weights must be made for; such as have no private paths fit too, unless a task answers by its own alone."""
    expected = as_told(architecture(layout), seen)
    if not seen.get("private") and all(task.share is not Share.NEVER for task in layout.tasks):
        expected["private"] = seen.get("private")
    return expected


def by_name(parts: Architecture) -> dict[str, Any]:
    """The same by what people call it: settings, then each modality, signal, task, rule and relation, these in order.

    How many signals are forecast stands in the modalities' scopes.
    """
    named = {*OF_TASKS, *OF_DOMAIN}
    found = {name: ModelSettings.model_fields[name].default for name in _NAMED_WHERE_SET}
    found |= {name: parts[name] for name in parts if name not in named}
    modalities = parts.get("modalities", [])
    found |= {f"modality {name}": {"scope": scope} for name, scope in modalities}
    for name, shape in parts.get("vectors", []):
        found[f"modality {name}"]["shape"] = shape
    for name, unit, span, transform, place in parts.get("signals", []):
        label = f"signal {name} (in modality {modalities[place][0]})"
        found[label] = {"unit": unit, "range": span, "transform": transform}
    found |= tasks_by_name(parts) if "classes" in parts else {}
    for label, listed in (("rule {} (an input)", "rules"), ("relation {}", "relations")):
        for each in parts.get(listed, []):
            found[label.format(each["name"])] = {name: part for name, part in each.items() if name != "name"}
    return found


def tasks_by_name(parts: Architecture) -> dict[str, dict[str, Any]]:
    """What each task means, in their order; of the first two there is one each, whatever people call it."""
    standings, classes = parts.get("standings", {}), parts["classes"]
    names = ["the forecast task", "the anomaly task", *(f"task {name}" for name, _ in classes)]
    forecast = {"horizons": parts["horizons"], "quantiles": parts["quantiles"]}
    choices = ({"classes": each, "standing": standings.get(name)} for name, each in classes)
    meanings = parts.get("tasks", [{}] * len(names))
    asked = zip(names, (forecast, {}, *choices), meanings, strict=True)
    return {name: said | meaning for name, said, meaning in asked}


def _meaning(task: Task, rules: Mapping[str, Rule]) -> dict[str, Any]:
    """What a task asks and what its answers stand for, its rules' own meaning in it.

    What it weighs, how it is served and when it alerts may change while it learns.
    """
    # What is not set is not named: weights from before a setting was there still fit.
    said: dict[str, Any] = {"kind": task.kind, "loss": task.criterion.model_dump(mode="json", exclude_defaults=True)}
    if task.within is not None:
        said["within"] = task.within if isinstance(task.within, int) else exact_form(task.within)
    if task.target is not None:
        said |= {"rule": task.target.rule, "cuts": task.target.cuts, "within": task.target.within}
        read = {name: rules[name] for name in task.target.reads.values()}
        free = {"name", "severities"}
        said["rules"] = {
            name: rule.model_dump(mode="json", exclude=free, exclude_defaults=True) for name, rule in read.items()
        }
    return said


def _rules(layout: Layout) -> list[Any]:
    """What the inputs of rules mean."""
    return [rule.model_dump(mode="json") for rule in layout.monitor.rules]


def _relations(layout: Layout) -> list[Any]:
    """What the groups' moments are about."""
    return [
        relation.model_dump(mode="json", exclude={"entities"})
        | ({"named": list(relation.entities)} if relation.entities else {})  # names of groups: entities are people
        for relation in layout.monitor.knowledge.relations
    ]
