"""Units: which entries of which weights stand for the same hidden unit, so that it can be taken or left as a whole.

Units that are numbered together make a space; what adds two vectors up, or multiplies them, ties their spaces into one.
An axis of a weight reads as the spaces that follow one another along it: `input+token` has all units of one, then all
of the other; `.` is an axis, or the rest of one, that counts no units; `slot:2` holds two entries in a row of each.

L slots, C channels, X = L * C state width of a modality.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from schemas.errors import ModelError
from schemas.layout import Layout
from trainer.cells.retention import HEADS
from trainer.network import Network

STATE = "state"
Kept = Mapping[str, Tensor]
"""Space -> numbers of its units, int64; in the order in which they stand from now on."""
Axes = tuple[tuple[str, ...], ...]

_SHARES = {"half": 0.5, "entry": 0.5, "oscillator": 0.5, "slot": 0.25, "wide": 2.0, "frame": 2.0}
"""Units of a space, as a share of `model.width`; 1 where none is named."""
_ENCODER = {
    "input_MI2D": ". . input+token",
    "bias_M12D": ". . input+token",
    "modality_M1D": ". . token",
    "norm.weight": "token",
    "norm.bias": "token",
    "vectors.image.frames.out.weight": "frame .",
    "vectors.image.frames.out.bias": "frame",
    "vectors.image.out.weight": "input+token frame",
    "vectors.image.out.bias": "input+token",
    "vectors.embedding.out.weight": "input+token .",
    "vectors.embedding.out.bias": "input+token",
}
_CELLS = {
    "gru": {
        STATE: ". token",
        "decay_M1C": ". . token",
        "cell.input_MDP": ". input token+token+token",
        "cell.state_MDP": ". token token+token+token",
        "cell.input_bias_M1P": ". . token+token+token",
        "cell.state_bias_M1P": ". . token+token+token",
    },
    "mingru": {
        STATE: ". token",
        "decay_M1C": ". . token",
        "cell.input_MDP": ". input token+token",
        "cell.bias_M1P": ". . token+token",
    },
    "ssm": {
        STATE: ". oscillator",
        "decay_M1C": ". . oscillator",
        "cell.input_MDX": ". input oscillator+oscillator",
        "cell.rate_M1C": ". . oscillator",
        "cell.turn_M1C": ". . oscillator",
        "cell.output_MXP": ". oscillator+oscillator token+token",
        "cell.bias_M1P": ". . token+token",
    },
    "retention": {
        STATE: "slot value",
        "decay_M1C": ". . value",
        "cell.input_MDP": ". input slot:2+value",
        "cell.forget_bias_M1K": ". . slot:2",
        "cell.query_gate_MDP": ". input slot:2+value",
        "cell.output_MDD": ". value token",
        "cell.output_bias_M1D": ". . token",
    },
    "convolution": {
        STATE: ". entry",
        "decay_M1C": ". . entry",
        "cell.entry_MDC": ". input entry",
        "cell.kernel_MKD": ". entry+entry+entry token",
        "cell.bias_M1D": ". . token",
        "cell.pool_PM1D": ". . . token",
    },
    "transformer": {
        STATE: ". entry",
        "decay_M1C": ". . entry",
        "cell.entry_MDC": ". input entry",
        "cell.query_MDI": ". input entry+entry",
        "cell.output_MID": ". entry+entry token",
        "cell.output_bias_M1D": ". . token",
        "cell.widen_MDF": ". token wide",
        "cell.widen_bias_M1F": ". . wide",
        "cell.narrow_MFD": ". wide token",
    },
}
"""By cell; `STATE` is an entity's state, [L, C]. A transformer adds to its input, which is tied so."""
_FUSION = {
    "query_KAD": ". . token",
    "value_DD": "mixed token",
    "null_D1": "mixed .",
    "out.weight": "fused mixed",
    "out.bias": "fused",
    "task_K1D": ". . fused",
    "norm.weight": "fused",
    "norm.bias": "fused",
}
_ATTENTION = {
    "query_key_value_XD": "half+half+carried fused",
    "out.weight": "fused carried",
    "out.bias": "fused",
    "gate_D": "fused",
}
_SHARING = {
    "weight_KDD": ". fused read",
    "bias_K1D": ". . read",
    "linear.weight": "read fused",
    "linear.bias": "read",
    "expert_XDD": ". read fused",
    "bias_XD1": ". read .",
    "gate_KXD": ". . fused",
    "over_private_KD": ". fused",
    "over_shared_XD": ". fused",
    "first.private_KDD": ". inner fused",
    "first.private_KD1": ". inner .",
    "first.shared_XDD": ". inner fused",
    "first.shared_XD1": ". inner .",
    "first.gate_KYD": ". . fused",
    "second.private_KDD": ". read inner",
    "second.private_KD1": ". read .",
    "second.shared_XDD": ". read inner",
    "second.shared_XD1": ". read .",
    "second.gate_KYD": ". . inner",
    "first.expert_KDD": ". inner fused",
    "first.bias_KD1": ". inner .",
    "first.gate_KKD": ". . fused",
    "second.expert_KDD": ". read inner",
    "second.bias_KD1": ". read .",
    "second.gate_KKD": ". . inner",
    "features.weight": "read fused",
    "features.bias": "read",
    "from_shared_KDD": ". fused inner",
    "from_task_KDD": ". fused inner",
    "inner_K1D": ". . inner",
    "mask_KDD": ". inner read",
    "outer_K1D": ". . read",
}
"""Of all strategies: no two of them give one name to different things."""
_HEADS = {
    "forecast.weight_SHQD": ". . . read",
    "anomaly.hidden.weight": "judge read+.",
    "anomaly.hidden.bias": "judge",
    "anomaly.out.weight": ". judge",
    "states.weight": ". read",
}
_PRIVATE = {"paths.second_PD": ". own", "paths.second_1D": ". own"}
_NUMBER = re.compile(r"\.\d+(?=\.)")
_REST = "."


@dataclass(frozen=True, slots=True)
class Space:
    """Units that are numbered together.

    Attributes:
        units: how many.
        parts: equally many of each consecutive part stay, as each attention head has a part of its own.
    """

    units: int
    parts: int


def spaces_of(layout: Layout, axes: Mapping[str, Axes]) -> dict[str, Space]:
    """Every space that these axes count."""
    model = layout.monitor.model
    parts = {"mixed": model.heads, "value": HEADS}
    names = {space.partition(":")[0] for each in axes.values() for axis in each for space in axis} - {_REST}
    return {name: Space(int(_SHARES.get(name, 1.0) * model.width), parts.get(name, 1)) for name in sorted(names)}


def axes_of(network: Network) -> dict[str, Axes]:
    """Of each weight whose axes count units; the axes of an entity's state, [L, C], stand under `STATE`.

    Raises ModelError where modalities have different cells: units would stand elsewhere in each one's state.
    """
    table = _table(network.layout)
    described = {name: table.get(_plain(name, network.layout)) for name in network.state_dict()}
    found = {name: axes for name, axes in described.items() if axes is not None}
    return found | {STATE: table[STATE]}


def taken(weight: Tensor, axes: Axes, spaces: Mapping[str, Space], kept: Kept) -> Tensor:
    """A weight's entries of these units, in their order."""
    for place, axis in enumerate(axes):
        if axis != (_REST,):
            weight = weight.index_select(place, _entries(axis, weight.shape[place], spaces, kept))
    return weight


def by_unit(weight: Tensor, axes: Axes, spaces: Mapping[str, Space]) -> Iterator[tuple[str, Tensor]]:
    """For each time that a space stands along an axis of a weight: the sums of its units' entries."""
    for place, axis in enumerate(axes):
        others = [other for other in range(weight.dim()) if other != place]
        along = weight.sum(others) if others else weight
        for name, first, run in _blocks(axis, spaces):
            units = spaces[name].units
            yield name, along[first : first + units * run].view(units, run).sum(1)


def _entries(axis: Sequence[str], length: int, spaces: Mapping[str, Space], kept: Kept) -> Tensor:
    entries, end = [], 0
    for name, first, run in _blocks(axis, spaces):
        entries.append((first + kept[name][:, None] * run + torch.arange(run)).flatten())
        end = first + spaces[name].units * run
    return torch.cat([*entries, torch.arange(end, length)])


def _blocks(axis: Sequence[str], spaces: Mapping[str, Space]) -> Iterator[tuple[str, int, int]]:
    """Space, first entry, and entries of a unit."""
    first = 0
    for each in axis:
        name, _, run = each.partition(":")
        if name != _REST:
            yield name, first, int(run or 1)
            first += spaces[name].units * int(run or 1)


def _table(layout: Layout) -> dict[str, Axes]:
    """Plain name of a weight -> its axes."""
    if layout.cell is None:
        raise ModelError(
            f"cell: got {', '.join(dict.fromkeys(layout.cells))}; expected one for all modalities to count units"
        )
    cell = _CELLS[layout.cell]
    trunk = {
        "encoder": _ENCODER | {name: axes for name, axes in cell.items() if name != STATE},
        "fusion": _FUSION,
        "attention": _ATTENTION,
        "sharing": _SHARING,
    }
    own = {name: axes.replace("read", "own").replace("judge", "own-judge") for name, axes in _HEADS.items()}
    named = {f"trunk.{part}.{name}": axes for part, weights in trunk.items() for name, axes in weights.items()}
    named |= {STATE: cell[STATE], **_HEADS, **{f"private.{name}": axes for name, axes in (_PRIVATE | own).items()}}
    tied = {"input": "token"} if layout.cell == "transformer" else {}
    return {
        name: tuple(tuple(tied.get(space, space) for space in axis.split("+")) for axis in axes.split())
        for name, axes in named.items()
    }


def _plain(name: str, layout: Layout) -> str:
    """A weight's name without numbers of tasks and names of modalities."""
    plain = (
        _NUMBER.sub("", name).replace("trunk.encoders.", "trunk.encoder.").replace("trunk.fusions.", "trunk.fusion.")
    )
    for modality, each in layout.vectors.items():
        plain = plain.replace(f".vectors.{modality}.", f".vectors.{each.kind}.")
    return plain
