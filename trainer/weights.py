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
from schemas.layout import Layout
from schemas.task import TaskKind
from trainer.architecture import FORMAT, OF_DOMAIN, OF_TASKS, Architecture, architecture, by_name, fitting
from trainer.int8 import narrowed, widened
from trainer.network import COLUMNS, Network

_STACKED, _UNREGRESSED = "6", "7"
"""The formats before, which can still be read."""
_OF_STACK = {
    "private.first_KPI": "first_PI",
    "private.first_KP": "first_P",
    "private.second_KPD": "second_PD",
    "private.second_K1D": "second_1D",
}
"""Names that private paths had in it -> those that each one has."""
_LONGEST = 60
_PRIVATE, _REGRESSION = "private.", "regression."
_SIMILARITY = "similarity"
CUT = "cut_from"
"""Beside `width` in what a file says: the width of the network that it was cut out of."""
WEIGHTS = "weights"
"""What weights are called that nobody named."""
_EXPECTED, SIDES = "is {}; expected {}", "is {} in the file, {} in the monitor"
"""How a difference is told."""


def save_weights(network: Network, *, int8: bool = False, similarity: Mapping[str, float] | None = None) -> bytes:
    """A network's weights, matrices in a quarter of their bytes where `int8` asks for it.

    `similarity` is what a fit measured of the tasks' gradients: `<task>.similarity_<other>` -> cosine.

    Raises ModelError when one is not finite.
    """
    found = narrowed(network) if int8 else network.state_dict()
    weights = {name: weight.detach().contiguous() for name, weight in found.items()}
    _check_finite(weights, WEIGHTS)
    described = architecture(network.layout)
    if network.private is None:
        described["private"] = 0
    if network.cut_from is not None:
        described[CUT] = network.cut_from
    metadata = {"architecture": json.dumps(described, sort_keys=True)}
    if similarity:
        metadata[_SIMILARITY] = json.dumps(dict(similarity))
    return bytes(save_tensors(weights, metadata=metadata))


def load_weights(layout: Layout, content: bytes, source: str = WEIGHTS) -> Network:
    """A network from `save_weights`; where the content says that it has no private paths, neither has the network.

    One that was cut out of a wider network fits where either's width is configured, and keeps its own; where that is
    configured, it is a network of that width as any other.

    Args:
        layout: the monitor.
        content: the bytes.
        source: what they are called where they are refused: the file, or the version.

    Raises:
        ModelError: the content is torn, for another monitor (the first difference is named), or not finite.
    """
    seen, weights = read_weights(content, source)
    network = fresh_for(layout, seen, source)
    if not seen.get("private"):
        network.private = None
    elif not any(name.startswith(_PRIVATE) for name in weights):
        raise ModelError(f"{source}: got no private paths; expected them, as private is {seen['private']}")
    if network.cut_from is None:
        weights.pop(COLUMNS, None)
    try:
        network.load_state_dict(upgraded(weights, network))
    except RuntimeError as error:
        raise ModelError(f"{source}: got other names or shapes than this architecture has") from error
    return network


def fresh_for(layout: Layout, seen: Architecture, source: str, free: Collection[str] = ()) -> Network:
    """A network as wide as the one that the weights were saved of.

    Args:
        layout: the monitor.
        seen: what the weights were made for.
        source: what they are called.
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
    for difference in unlike(fixed, expected):
        rest = {name: part for name, part in expected.items() if name not in OF_TASKS + OF_DOMAIN}
        transferable = not free and {name: part for name, part in fixed.items() if name in rest} == rest
        hint = " (`bellwether train --transfer` takes over what both have)" if transferable else ""
        raise ModelError(f"{source}: {difference}{hint}")
    return Network(layout, model.width if is_cut else None)


def widths_below(model: ModelSettings) -> list[int]:
    """Every smaller width that could be configured, widest first."""
    return [width for width in range(model.width - WIDTH_STEP, 0, -WIDTH_STEP) if width % model.heads == 0]


def read_weights(content: bytes, source: str = WEIGHTS) -> tuple[Architecture, dict[str, Tensor]]:
    """What weights were made for, and themselves by name.

    Raises ModelError when they are torn, not finite, or of a format that is not read any more.
    """
    metadata, weights = _parsed(content, source)
    _check_finite(weights, source)
    try:
        seen = dict(json.loads(metadata["architecture"]))
        written = seen["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{source}: got a file that does not say what it is for; expected format {FORMAT}") from error
    if written not in {FORMAT, _UNREGRESSED, _STACKED}:
        raise ModelError(f"{source}: got format {written}; expected {FORMAT}")
    return seen | {"format": FORMAT}, _unstacked(weights)


def architecture_in(content: bytes, source: str = WEIGHTS) -> Architecture:
    """What weights were made for. Raises as `read_weights` does."""
    return read_weights(content, source)[0]


def first_difference(one: Architecture, other: Architecture) -> str | None:
    """Why a monitor that takes weights of the other does not take those of the one; compressed ones it takes, too."""
    loose = {"private", CUT} | ({"width"} if CUT in {*one, *other} else set())
    mine, others = ({name: part for name, part in each.items() if name not in loose} for each in (one, other))
    return next(differences(mine, others), None)


def similarity_in(content: bytes, source: str) -> dict[str, float]:
    """What was measured by the fit that made weights, as `save_weights` has it; empty: nothing.

    Raises ModelError when they are torn.
    """
    metadata, _ = _parsed(content, source)
    found: dict[str, float] = json.loads(metadata.get(_SIMILARITY, "{}"))
    return found


def upgraded(weights: Mapping[str, Tensor], network: Network) -> dict[str, Tensor]:
    """A network's weights by name as they are now named; what was not known when they were written is as it is in it.

    That is the forecasts' regression, which says nothing until it has learned.
    """
    unknown = {name: weight for name, weight in network.state_dict().items() if name.startswith(_REGRESSION)}
    return unknown | _unstacked(weights)


def _unstacked(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """From before each task's private path was a module of its own: they stood stacked, [K, ...]."""
    found: dict[str, Tensor] = {}
    for name, weight in weights.items():
        own = _OF_STACK.get(name)
        found |= {name: weight} if own is None else {f"private.paths.{k}.{own}": each for k, each in enumerate(weight)}
    return found


def at_width(layout: Layout, width: int) -> Layout:
    """The same monitor with a network of another width."""
    monitor = layout.monitor
    return Layout(monitor.model_copy(update={"model": monitor.model.model_copy(update={"width": width})}))


def unlike(seen: Architecture, expected: Architecture) -> Iterator[str]:
    """Each place where weights are for something else than a monitor, in words: signals and tasks by their names."""
    there, here = by_name(seen), by_name(expected)
    for name in [*here, *(name for name in there if name not in here)]:
        if name not in there:
            yield _alone(name, "monitor", here)
        elif name not in here:
            yield _alone(name, "file", there)
        elif isinstance(here[name], dict):
            yield from (f"{name}: {each}" for each in differences(there[name], here[name], words=SIDES))
        else:
            setting = f"model.{name}" if name in ModelSettings.model_fields else name
            yield from differences(there[name], here[name], setting, SIDES)
    named, wanted = ([name for name, part in each.items() if isinstance(part, dict)] for each in (there, here))
    for one, other in zip(named, wanted, strict=False):
        if one != other and set(named) == set(wanted):
            yield f"{one} stands in the file where {other} does in the monitor"


def differences(seen: object, expected: object, name: str = "", words: str = _EXPECTED) -> Iterator[str]:
    """Each place where two things differ that JSON can hold, in words: of its name, what is seen, what is expected."""
    if isinstance(seen, dict) and isinstance(expected, dict):
        for key in [*expected, *(key for key in seen if key not in expected)]:
            yield from differences(seen.get(key), expected.get(key), f"{name}.{key}" if name else key, words)
    elif isinstance(seen, list) and isinstance(expected, list) and len(seen) == len(expected):
        for place, (each, wanted) in enumerate(zip(seen, expected, strict=True)):
            yield from differences(each, wanted, f"{name}[{place}]", words)
    elif isinstance(seen, list) and isinstance(expected, list) and len(f"{seen}{expected}") > 2 * _LONGEST:
        more = [f"has {_short(each)} too" for each in seen if each not in expected]
        less = [f"lacks {_short(each)}" for each in expected if each not in seen]
        yield f"{name}: it {' and '.join(more + less) or 'has other numbers of the same'}"
    elif seen != expected:
        yield f"{name} {words.format(_short(seen), _short(expected))}"


def _alone(name: str, side: str, parts: Mapping[str, Any]) -> str:
    event = isinstance(parts[name], dict) and parts[name].get("kind") == TaskKind.EVENT
    return f"{name} is in the {side} alone" + ("; --outcomes brings such tasks" if event else "")


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."


def _parsed(content: bytes, source: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        return metadata, widened(load_tensors(content))
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{source}: got {len(content)} bytes that are no whole safetensors file") from error


def _check_finite(weights: dict[str, Tensor], source: str) -> None:
    for name, weight in weights.items():
        if not weight.isfinite().all():
            raise ModelError(f"{source}: {name} holds a value that is not finite")
