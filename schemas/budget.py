"""How many alarms are wanted: so many for each entity, for each group, in total, for each stretch of time or rows."""

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from schemas.frozen import Frozen
from schemas.names import Name

_DAY_MS = 86_400_000
_RATE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s+per\s+(entity-|group-|)(hour|day|week|1,?000 rows)\s*$")
_EXPECTED = "expected alarms and a span, such as 0.5 per entity-day, 20 per day, 3 per week or 1 per 1000 rows"


class Span(StrEnum):
    """What alarms are counted over: event time, or an entity's rows."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    ROWS = "1000 rows"

    @property
    def size(self) -> int:
        """In milliseconds, or in rows."""
        sizes = {Span.HOUR: _DAY_MS // 24, Span.DAY: _DAY_MS, Span.WEEK: 7 * _DAY_MS, Span.ROWS: 1000}
        return sizes[self]


class Rate(Frozen):
    """Alarms in a span; written `0.5 per day`."""

    alarms: float = Field(gt=0, le=1e6)
    span: Span

    @property
    def per_unit(self) -> float:
        """Alarms a millisecond, or a row."""
        return self.alarms / self.span.size

    def __str__(self) -> str:
        return f"{self.alarms:g} per {self.span}"


def _parse_rate(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not (match := _RATE.match(value)):
        raise ValueError(_EXPECTED)
    return {"alarms": float(match[1]), "span": match[3].replace(",", "")}


_Rate = Annotated[Rate, BeforeValidator(_parse_rate)]


class Budget(Frozen):
    """Alarms that are wanted. At least one of `entity`, `group`, `total`.

    Attributes:
        entity: on the mean over the entities, which share by what their findings are worth; thresholds move both ways
            to meet it. Time counts from an entity's first row to its last.
        group: at most so many for each group of entities, however many there are in it.
        by: the static signal whose value, rounded, says the group.
        total: at most so many of all; without `entity`, thresholds move both ways to meet it.
    """

    entity: _Rate | None = None
    group: _Rate | None = None
    by: Name | None = None
    total: _Rate | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.entity is None and self.group is None and self.total is None:
            raise ValueError("budget: expected entity, group or total, got none")
        if (self.group is None) != (self.by is None):
            raise ValueError("budget.by: expected the static signal that says the group, and budget.group, or neither")
        for name, rate in (("group", self.group), ("total", self.total)):
            if rate is not None and rate.span is Span.ROWS:
                raise ValueError(f"budget.{name}: expected hours, days or weeks, got rows, which are an entity's")
        return self


def parse_budget(value: object) -> object:
    """The short form: `0.5 per entity-day` and rows are each entity's, `20 per day` is the total."""
    if not isinstance(value, str):
        return value
    if not (match := _RATE.match(value)):
        raise ValueError(_EXPECTED)
    whose = "entity" if match[2] == "entity-" or match[3].endswith("rows") else "total"
    return {match[2].removesuffix("-") or whose: value}
