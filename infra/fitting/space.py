"""What `tune` searches: fields of the monitor's own settings, what each may be, and the points drawn among them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.errors import ConfigError

Point = Mapping[str, object]
"""Dotted field -> value: one trial's settings."""
DEFAULT = ("fitting.learning_rate=1e-3..1e-2", "fitting.weight_decay=1e-4..1e-1", "model.width=16,32,64")
"""Where nothing is said."""
_SECTIONS = ("fitting", "model", "training")
_UNREAD = "training.{} is learning online's: a fit does not read it"
_YARDSTICK = "{} the same in every trial: it decides what they are judged on"
_FIXED: Mapping[str, str] = {
    "training.learning_rate": f"fitting.learning_rate: {_UNREAD.format('learning_rate')}",
    "training.weight_decay": f"fitting.weight_decay: {_UNREAD.format('weight_decay')}",
    **{
        f"training.{name}": f"another field: {_UNREAD.format(name)}"
        for name in (
            "anchor",
            "average",
            "canary",
            "checkpoint_every",
            "drift",
            "gate_windows",
            "shadow_rows",
            "windows_per_step",
        )
    },
    **{
        name: _YARDSTICK.format(name)
        for name in (
            "fitting.validation",
            "fitting.piece",
            "fitting.context",
            "training.window",
            "training.rows_ahead",
            "training.inject_rate",
        )
    },
    "model.seed": "another field: what one seed is better by is luck",
    "fitting.epochs": "--passes: all trials may learn equally long",
    "fitting.trackers": "another field: it changes no network",
}
"""Field, or table of fields -> what was expected instead of searching it."""
_FEWEST_TIMES = 10.0
"""From this ratio of its ends on, both positive, a range is searched by orders of magnitude."""
_DIGITS = 3
"""Of a drawn value: more of them say nothing, and are tedious to paste."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One field: a range, or choices.

    Attributes:
        field: dotted.
        ends: of a range, both included; None: choices.
        choices: of equal chance.
    """

    field: str
    ends: tuple[float, float] | None
    choices: tuple[object, ...] = ()

    @property
    def said(self) -> tuple[object, ...]:
        """Every choice, or both ends."""
        return self.choices if self.ends is None else self.ends

    def draw(self, rng: np.random.Generator) -> object:
        """A value; whole numbers between ends that are."""
        if self.ends is None:
            return self.choices[int(rng.integers(len(self.choices)))]
        low, high = self.ends
        if low > 0.0 and high / low >= _FEWEST_TIMES:
            drawn = math.exp(rng.uniform(math.log(low), math.log(high)))
        else:
            drawn = float(rng.uniform(low, high))
        if isinstance(low, int) and isinstance(high, int):
            return round(drawn)
        return min(max(float(f"{drawn:.{_DIGITS}g}"), low), high)


def axis_of(text: str) -> Axis:
    """Read `field=low..high` or `field=one,two,three`.

    Raises:
        ConfigError: it is neither, or a fit cannot be searched over that field.
    """
    field, equals, given = text.partition("=")
    if not equals or not given:
        raise _wrong(text, "FIELD=LOW..HIGH or FIELD=ONE,TWO, e.g. " + " or ".join(DEFAULT[1:]))
    if field.partition(".")[0] not in _SECTIONS or "." not in field:
        raise _wrong(text, f"a field of {', '.join(_SECTIONS)}, e.g. {DEFAULT[0]}")
    within = ".".join(field.split(".")[:2])
    if within in _FIXED:
        raise _wrong(text, _FIXED[within])
    low, dots, high = given.partition("..")
    if not dots:
        return Axis(field, None, tuple(_value(each.strip()) for each in given.split(",")))
    ends = _value(low), _value(high)
    if not (isinstance(ends[0], int | float) and isinstance(ends[1], int | float) and ends[0] < ends[1] < math.inf):
        raise _wrong(text, "two numbers, the lower one first")
    return Axis(field, (ends[0], ends[1]))


def drawn(axes: Sequence[Axis], trials: int, seed: int) -> list[Point]:
    """As many points as there are trials, each at random; of one seed the first ones are always the same."""
    rng = np.random.default_rng(seed)
    return [{axis.field: axis.draw(rng) for axis in axes} for _ in range(trials)]


def nested(point: Point) -> dict[str, dict[str, object]]:
    """A point as the monitor's file has it."""
    found: dict[str, dict[str, object]] = {}
    for field, value in point.items():
        section, _, name = field.partition(".")
        found.setdefault(section, {})[name] = value
    return found


def _value(text: str) -> object:
    words: Mapping[str, object] = {"true": True, "false": False, "null": None}
    if text in words:
        return words[text]
    readers: tuple[Callable[[str], object], ...] = (int, float)
    for read in readers:
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _wrong(text: str, expected: str) -> ConfigError:
    return ConfigError("command line", "--over", text, expected)
