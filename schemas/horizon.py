"""How far ahead a forecast looks: the entity's k-th next row, or a duration of event time."""

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from schemas.duration import Duration

_MOST_ROWS = 96
_SHORTEST, _LONGEST = timedelta(milliseconds=1), timedelta(days=366)
_DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)
NOMINAL_ROWS = 6
"""Rows that a duration counts as where only a row count will do: how wide an untaught band is, what one loss weighs."""


def parse_horizon(value: object) -> int | timedelta:
    """Read a row count or a duration. Raises ValueError: a bare number is never taken for seconds."""
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_ROWS:
        return value
    if isinstance(value, str | timedelta):
        try:
            ahead = _DURATION.validate_python(value)
        except ValidationError:
            ahead = timedelta(0)
        if _SHORTEST <= ahead <= _LONGEST:
            return ahead
    raise ValueError(f"expected row counts from 1 to {_MOST_ROWS} or durations such as 15m, up to {_LONGEST.days}d")


Horizon = Annotated[int | timedelta, BeforeValidator(parse_horizon)]
"""A duration means: the newest value seen within it. Row counts come first, in order, then durations in order."""


def rows_of(horizon: int | timedelta) -> int:
    """The horizon in rows, nominally for a duration."""
    return horizon if isinstance(horizon, int) else NOMINAL_ROWS


def name_of(horizon: int | timedelta) -> str:
    """``h6`` for the sixth next row, ``h900s`` for a quarter of an hour."""
    return f"h{horizon}" if isinstance(horizon, int) else f"h{horizon.total_seconds():g}s"


def place_of(horizon: int | timedelta) -> tuple[bool, int | timedelta]:
    """Sort key: rows before durations."""
    return isinstance(horizon, timedelta), horizon
