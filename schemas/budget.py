"""How many alarms are wanted: so many for each entity, for each group, in total, for each stretch of time or rows."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Self

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
    """Alarms that are wanted: at least one of `entity`, `group`, `total`, or else `rows`.

    Attributes:
        entity: on the mean over the entities, which share by what their findings are worth; thresholds move both ways
            to meet it. Time counts from an entity's first row to its last.
        group: at most so many for each group of entities, however many there are in it.
        by: the static signal whose value, rounded, says the group.
        total: at most so many of all; without `entity`, thresholds move both ways to meet it.
        rows: nothing is kept, but each entity's threshold rises with its alerts and falls with its rows so that this
            many alerts per 1,000 rows cancel out; written as a plain number.
    """

    entity: _Rate | None = None
    group: _Rate | None = None
    by: Name | None = None
    total: _Rate | None = None
    rows: float | None = Field(default=None, gt=0, le=1000)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kept == (self.rows is not None):
            raise ValueError(f"expected entity, group or total, or else rows, got {'both' if self.kept else 'none'}")
        if (self.group is None) != (self.by is None):
            raise ValueError("by: expected the static signal that says the group beside group, or neither")
        for name, rate in (("group", self.group), ("total", self.total)):
            if rate is not None and rate.span is Span.ROWS:
                raise ValueError(f"{name}: expected hours, days or weeks, got rows, which are an entity's")
        return self

    @property
    def kept(self) -> bool:
        """Are alarms priced so that it is met?"""
        return not (self.entity is None and self.group is None and self.total is None)


def parse_budget(value: object) -> object:
    """The short forms: `0.5 per entity-day` is each entity's, `20 per day` the total; a number is `rows`."""
    if isinstance(value, int | float):
        return {"rows": value}
    if not isinstance(value, str):
        return value
    if not (match := _RATE.match(value)):
        raise ValueError(_EXPECTED)
    whose = "entity" if match[2] == "entity-" or match[3].endswith("rows") else "total"
    return {match[2].removesuffix("-") or whose: value}


@dataclass(frozen=True, slots=True)
class Achieved:
    """What became of one rate: so many alarms in so many of its spans (entity-days, say)."""

    asked: Rate
    alarms: int
    spans: float

    @property
    def rate(self) -> float | None:
        """Alarms a span; None before any time has passed."""
        return self.alarms / self.spans if self.spans > 0 else None

    def told(self) -> dict[str, object]:
        """As JSON holds it."""
        return {"asked": str(self.asked), "alarms": self.alarms, "spans": round(self.spans, 6)}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """What `told` gave."""
        return cls(Rate.model_validate(_parse_rate(told["asked"])), int(told["alarms"]), float(told["spans"]))


def pooled(parts: Iterable[Mapping[str, Achieved]]) -> dict[str, Achieved]:
    """Several partitions' together. Entities' time adds up; what groups and the total are counted over is the same."""
    found: dict[str, Achieved] = {}
    for name, each in (pair for part in parts for pair in part.items()):
        before = found.get(name)
        if before is None:
            found[name] = each
            continue
        spans = before.spans + each.spans if name == "entity" else max(before.spans, each.spans)
        found[name] = Achieved(each.asked, before.alarms + each.alarms, spans)
    return found
