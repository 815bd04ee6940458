"""How far ahead a forecast looks: the entity's k-th next row, or a duration of event time."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from schemas.duration import Duration

Rows = Annotated[int, Field(ge=1, le=96)]
Ahead = Annotated[Duration, Field(ge=timedelta(milliseconds=1), le=timedelta(days=366))]
Horizon = Rows | Ahead
"""A duration means: the newest value seen within it. Row counts come first, in order, then durations in order."""
NOMINAL_ROWS = 6
"""Rows that a duration counts as where only a row count will do: how wide an untaught band is, what one loss weighs."""


def rows_of(horizon: int | timedelta) -> int:
    """The horizon in rows, nominally for a duration."""
    return horizon if isinstance(horizon, int) else NOMINAL_ROWS


def name_of(horizon: int | timedelta) -> str:
    """``h6`` for the sixth next row, ``h900s`` for a quarter of an hour."""
    return f"h{horizon}" if isinstance(horizon, int) else f"h{horizon.total_seconds():g}s"


def place_of(horizon: int | timedelta) -> tuple[bool, int | timedelta]:
    """Sort key: rows before durations."""
    return isinstance(horizon, timedelta), horizon
