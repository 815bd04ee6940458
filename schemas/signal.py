"""One measured quantity: its unit, what is plausible of it, and the scale it is modelled on."""

from enum import StrEnum
from typing import Self

from pydantic import model_validator

from schemas.frozen import Frozen
from schemas.names import Name

ABSURD = 1e15
"""Largest magnitude a signal without a declared range may have: beyond it float64 statistics lose their digits."""


class Transform(StrEnum):
    """The scale a signal is modelled on. Observations and forecasts stay in raw units."""

    LEVEL = "level"
    LOG_RETURN = "log-return"
    DIFFERENCE = "difference"


class Signal(Frozen):
    """One measured quantity. `range` is [lowest, highest] plausible value, both included, in `unit`."""

    name: Name
    unit: str = ""
    loinc: tuple[str, ...] = ()
    range: tuple[float, float] = (-ABSURD, ABSURD)
    transform: Transform = Transform.LEVEL

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.range
        if not low < high:
            raise ValueError("range: expected [low, high] with low < high")
        if self.transform is Transform.LOG_RETURN and low <= 0:
            raise ValueError("range: expected [low, high] above 0 for the log-return transform")
        return self
