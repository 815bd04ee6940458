"""What a figure should be, and whether it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

OURS = "bellwether"
"""The system that aims are about."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Bounds of bellwether's figure, either or both: a number, or a system of the same run that it is held against."""

    least: float | str | None = None
    most: float | str | None = None

    def reached(self, systems: Mapping[str, float]) -> bool:
        """No value is no success: NaN misses."""
        bounds = (_value(self.least, systems, -float("inf")), _value(self.most, systems, float("inf")))
        return bounds[0] <= systems[OURS] <= bounds[1]

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.least} to {self.most}"
        return f">= {self.least}" if self.most is None else f"<= {self.most}"


def aims_of(patterns: Mapping[str, Aim], part: str, metrics: Iterable[str]) -> dict[str, Aim]:
    """Metric -> its aim: that of the first pattern which fits what stands after `<part>.`.

    Raises:
        ValueError: a pattern that is the first for no metric.
    """
    found, useless = {}, dict(patterns)
    for metric in metrics:
        fitting = [pattern for pattern in patterns if fnmatchcase(metric, f"{part}.{pattern}")]
        if fitting:
            found[metric] = patterns[fitting[0]]
            useless.pop(fitting[0], None)
    if useless:
        raise ValueError(f"{part}: no figure has the aims {', '.join(useless)}; there are {', '.join(metrics)}")
    return found


def _value(bound: float | str | None, systems: Mapping[str, float], otherwise: float) -> float:
    if bound is None:
        return otherwise
    return systems[bound] if isinstance(bound, str) else bound
