"""Weights as bytes: safetensors whose metadata say in words what they are for, so that others are never misread."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from schemas.components import WIDTH_STEP, ModelSettings
from schemas.errors import ModelError
from schemas.horizon import name_of
from schemas.layout import Layout
from schemas.task import Share
from trainer.int8 import narrowed, widened
from trainer.network import COLUMNS, Network

FORMAT, _STACKED = "7", "6"
"""Changes whenever names or sizes come to be others, or to mean something else; the one before can still be read."""
_OF_STACK = {
    "private.first_KPI": "first_PI",
    "private.first_KP": "first_P",
    "private.second_KPD": "second_PD",
    "private.second_K1D": "second_1D",
}
"""Names that private paths had in it -> those that each one has."""
_NO_MEANING = {"seed", "half_state"}
"""Model settings that weights do not depend on once they are there."""
_LONGEST = 60
_PRIVATE = "private."
CUT = "cut_from"
"""Beside `width` in what a file says: the width of the network that it was cut out of."""
OF_TASKS, OF_DOMAIN = (
    ("horizons", "quantiles", "classes"),
    ("modalities", "signals", "targets", "vectors", "rules", "relations"),
)
"""Parts of an architecture that differ between a monitor's tasks, and between domains: the rest can be transferred."""
Architecture = dict[str, Any]
"""What weights were made for, as JSON has it."""


def save_weights(network: Network, *, int8: bool = False) -> bytes:
    """A network's weights, matrices in a quarter of their bytes where `int8` asks for it.

    Raises ModelError when one is not finite.
    """
    found = narrowed(network) if int8 else network.state_dict()
    weights = {name: weight.detach().contiguous() for name, weight in found.items()}
    _check_finite(weights)
    described = architecture(network.layout)
    if network.private is None:
        described["private"] = 0
    if network.cut_from is not None:
        described[CUT] = network.cut_from
    return bytes(save_tensors(weights, metadata={"architecture": json.dumps(described, sort_keys=True)}))


def load_weights(layout: Layout, content: bytes) -> Network:
    """A network from `save_weights`; where the content says that it has no private paths, neither has the network.

    One that was cut out of a wider network fits where either's width is configured, and keeps its own; where that is
    configured, it is a network of that width as any other.

    Raises:
        ModelError: the content is torn, of another architecture (the first difference is named), or not finite.
    """
    seen, weights = read_weights(content)
    network = fresh_for(layout, seen)
    if not seen.get("private"):
        network.private = None
    elif not any(name.startswith(_PRIVATE) for name in weights):
        raise ModelError(f"weights: got no private paths; expected them, as private is {seen['private']}")
    if network.cut_from is None:
        weights.pop(COLUMNS, None)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError("weights: got other names or shapes than this architecture has") from error
    return network


def fresh_for(layout: Layout, seen: Architecture, free: Collection[str] = ()) -> Network:
    """A network as wide as the one that the weights were saved of.

    Args:
        layout: the monitor.
        seen: what the weights were made for.
        free: parts of that which may differ.

    Raises:
        ModelError: another part differs; the first one is named.
    """
    model, cut_from = layout.monitor.model, seen.get(CUT)
    is_cut = cut_from == model.width and seen.get("width") in widths_below(model)
    layout = at_width(layout, seen["width"]) if is_cut else layout
    fixed, expected = (
        {name: part for name, part in each.items() if name not in {CUT, *free}}
        for each in (seen, fitting(layout, seen))
    )
    for difference in differences(fixed, expected):
        rest = {name: part for name, part in expected.items() if name not in OF_TASKS + OF_DOMAIN}
        transferable = not free and {name: part for name, part in fixed.items() if name in rest} == rest
        hint = " (`bellwether train --transfer` takes over what both have)" if transferable else ""
        raise ModelError(f"weights: {difference}{hint}")
    return Network(layout, model.width if is_cut else None)


def widths_below(model: ModelSettings) -> list[int]:
    """Every smaller width that could be configured, widest first."""
    return [width for width in range(model.width - WIDTH_STEP, 0, -WIDTH_STEP) if width % model.heads == 0]


def read_weights(content: bytes) -> tuple[Architecture, dict[str, Tensor]]:
    """What weights were made for, and themselves by name. Raises ModelError when torn or not finite."""
    try:
        metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        weights = widened(load_tensors(content))
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"weights: got {len(content)} bytes that are no whole safetensors file") from error
    _check_finite(weights)
    try:
        seen = dict(json.loads(metadata["architecture"]))
        return (seen | {"format": FORMAT}, upgraded(weights)) if seen["format"] == _STACKED else (seen, weights)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"weights: got a file that does not say what it is for; expected format {FORMAT}") from error


def upgraded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by name, from before each task's private path was a module of its own: they stood stacked, [K, ...]."""
    found: dict[str, Tensor] = {}
    for name, weight in weights.items():
        own = _OF_STACK.get(name)
        found |= {name: weight} if own is None else {f"private.paths.{k}.{own}": each for k, each in enumerate(weight)}
    return found


def fitting(layout: Layout, seen: Architecture) -> Architecture:
    """What weights must be made for; such as have no private paths fit too, unless a task answers by its own alone."""
    expected = architecture(layout)
    if not seen.get("private") and all(task.share is not Share.NEVER for task in layout.tasks):
        expected["private"] = seen.get("private")
    return expected


def at_width(layout: Layout, width: int) -> Layout:
    """The same monitor with a network of another width."""
    monitor = layout.monitor
    return Layout(monitor.model_copy(update={"model": monitor.model.model_copy(update={"width": width})}))


def architecture(layout: Layout) -> Architecture:
    """Everything that the weights' meaning depends on."""
    monitor, forecast = layout.monitor, layout.forecast
    placed = zip(layout.signals, layout.modality_of, strict=True)
    without_meaning = _NO_MEANING if monitor.model.similarity_bias else _NO_MEANING | {"similarity_bias"}
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
        **({"rules": _rules(layout)} if monitor.knowledge.features else {}),
        **({"relations": _relations(layout)} if monitor.knowledge.relations else {}),
    }
    if standings := {task.name: task.target.standing for task in layout.states if task.target and task.target.standing}:
        parts["standings"] = {name: standing.model_dump(mode="json") for name, standing in standings.items()}
    if layout.vectors:
        parts["vectors"] = [[name, modality.shape] for name, modality in layout.vectors.items()]
    plain: Architecture = json.loads(json.dumps(parts))
    return plain


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


def differences(seen: object, expected: object, name: str = "") -> Iterator[str]:
    """Each place where two architectures differ, in words."""
    if isinstance(seen, dict) and isinstance(expected, dict):
        for key in [*expected, *(key for key in seen if key not in expected)]:
            yield from differences(seen.get(key), expected.get(key), key)
    elif isinstance(seen, list) and isinstance(expected, list) and len(seen) == len(expected):
        for place, (each, wanted) in enumerate(zip(seen, expected, strict=True)):
            yield from differences(each, wanted, f"{name}[{place}]")
    elif isinstance(seen, list) and isinstance(expected, list):
        more = [f"has {_short(each)} too" for each in seen if each not in expected]
        less = [f"lacks {_short(each)}" for each in expected if each not in seen]
        yield f"{name}: it {' and '.join(more + less) or 'has other numbers of the same'}"
    elif seen != expected:
        yield f"{name} is {_short(seen)}; expected {_short(expected)}"


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."


def _check_finite(weights: dict[str, Tensor]) -> None:
    for name, weight in weights.items():
        if not weight.isfinite().all():
            raise ModelError(f"weights: {name} holds a value that is not finite")
