"""Figures of a report: plain numbers, those of a task beside those of its baselines."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.observation import Float64

BASELINES = ("persistence", "ewma", "single_signal", "random", "base_rate", "rule")


@dataclass(frozen=True, slots=True)
class Judged:
    """One task's metrics; `baselines`: name -> the same metrics, in the same places, as that baseline reaches them."""

    metrics: Mapping[str, Any]
    baselines: Mapping[str, Mapping[str, Any]]

    def beside(self, other: "Judged") -> "Judged":
        """Both, where they judge different things of one task."""
        names = dict.fromkeys([*self.baselines, *other.baselines])
        both = {name: {**self.baselines.get(name, {}), **other.baselines.get(name, {})} for name in names}
        return Judged({**self.metrics, **other.metrics}, both)


def unjudged(why: str) -> Judged:
    """Of a task of which nothing came that it could be judged by: one line that says so, instead of empty figures."""
    return Judged({"judged": f"no: {why}"}, {})


def number(value: float) -> float | None:
    """Six digits; None where there is no number, which JSON cannot hold."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def numbers(values: Iterable[float]) -> list[float | None]:
    """Each of them."""
    return [number(float(value)) for value in values]


def mean(values: Float64) -> float | None:
    """Of those that are known."""
    known = values[np.isfinite(values)]
    return number(float(known.mean())) if len(known) else None
