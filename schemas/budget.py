"""How many alarms are wanted: so many for each entity, for each group, in total, for each stretch of time or rows."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from schemas.frozen import Frozen
from schemas.names import Name

_DAY_MS = 86_400_000
_RATE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s+per\s+(entity-|group-|)(hour|day|week|1,?000 rows)\s*$")
_GROUPS = "{group: 3 per day, by: ICUType}"
_FORMS = f"0.5 per entity-day, 20 per day (of all together), {_GROUPS} or a number (per 1,000 rows, not kept)"


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


def _parse_rate(value: object, whose: str = "") -> object:
    """Of text; `whose` is the unit before the span that may be named there, and no other."""
    if isinstance(value, Rate | Mapping):
        return value
    match = _RATE.match(value) if isinstance(value, str) else None
    if match is None or match[2] not in {whose, ""}:
        raise ValueError(f"expected alarms and a span, such as {_RATES[whose]}")
    return {"alarms": float(match[1]), "span": match[3].replace(",", "")}


_RATES = {
    "entity-": "0.5 per entity-day or 1 per 1000 rows: each entity's",
    "group-": "3 per day: each group's",
    "": "20 per day: of all together; each entity's has the key entity, each group's group",
}
"""What a rate is of -> how it is written."""

_EntityRate = Annotated[Rate, BeforeValidator(partial(_parse_rate, whose="entity-"))]
_GroupRate = Annotated[Rate, BeforeValidator(partial(_parse_rate, whose="group-"))]
_TotalRate = Annotated[Rate, BeforeValidator(_parse_rate)]


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

    entity: _EntityRate | None = None
    group: _GroupRate | None = None
    by: Name | None = None
    total: _TotalRate | None = None
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
    if isinstance(value, Budget | Mapping) and value:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"rows": value}
    match = _RATE.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected {_FORMS}")
    if match[2] == "group-":
        raise ValueError(f"expected a budget of groups as {_GROUPS}, where by is a static signal")
    return {"entity" if match[2] or match[3].endswith("rows") else "total": value}


@dataclass(frozen=True, slots=True)
class Achieved:
    """What became of one rate: so many alarms in so many of its spans (entity-days, say).

    `always`: those among them that are raised whatever they cost: of rules so bad, and of feeds that failed.
    """

    asked: Rate
    alarms: int
    spans: float
    always: int = 0

    @property
    def rate(self) -> float | None:
        """Alarms a span; None before any time has passed."""
        return self.alarms / self.spans if self.spans > 0 else None

    @property
    def out_of_reach(self) -> bool:
        """Were those that are always raised more than all that were asked for?"""
        return self.always > self.asked.alarms * self.spans > 0

    def told(self) -> dict[str, object]:
        """As JSON holds it."""
        return {"asked": str(self.asked), "alarms": self.alarms, "spans": round(self.spans, 6), "always": self.always}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """What `told` gave."""
        asked = Rate.model_validate(_parse_rate(told["asked"]))
        return cls(asked, int(told["alarms"]), float(told["spans"]), int(told.get("always", 0)))


def as_written(name: str, asked: Rate) -> str:
    """A rate with the unit of its budget (`entity`, `group 3`, `total`): `0.5 per entity-day`."""
    unit = name.partition(" ")[0]
    counted = unit in {"entity", "group"} and asked.span is not Span.ROWS
    return f"{asked.alarms:g} per {f'{unit}-' if counted else ''}{asked.span}"


def pooled(parts: Iterable[Mapping[str, Achieved]]) -> dict[str, Achieved]:
    """Several partitions' together. Entities' time adds up; what groups and the total are counted over is the same."""
    found: dict[str, Achieved] = {}
    for name, each in (pair for part in parts for pair in part.items()):
        before = found.get(name)
        if before is None:
            found[name] = each
            continue
        spans = before.spans + each.spans if name == "entity" else max(before.spans, each.spans)
        found[name] = Achieved(each.asked, before.alarms + each.alarms, spans, before.always + each.always)
    return found
