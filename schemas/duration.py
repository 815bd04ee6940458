"""Durations in configuration, on the command line and in messages: ``90s``, ``15m``, ``2h``, ``1d`` or ISO 8601."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, TypeAdapter, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BARE = re.compile(r"^\s*[+-]?[\d.]+\s*$")
_SHORT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$")


def parse_duration(value: object) -> object:
    """Turn the short form into a timedelta; leave anything else for pydantic to judge."""
    if isinstance(value, str) and (match := _SHORT.match(value)):
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    return value


def short_form(seconds: float) -> str:
    """The short form of a duration, in the largest unit that fits, rounded to a tenth of it: ``90`` is ``1.5m``."""
    unit = next((unit for unit, size in reversed(_UNITS.items()) if seconds >= size), "s")
    return f"{round(seconds / _UNITS[unit], 1):g}{unit}"


def exact_form(duration: timedelta) -> str:
    """The short form, whole to the millisecond: in the largest unit of which it is a whole number."""
    ms = duration // timedelta(milliseconds=1)
    unit, size = next((unit, each) for unit, each in reversed(_UNITS.items()) if ms % (each * 1000) == 0)
    return f"{ms / (size * 1000):.0f}{unit}"


def _judge(value: object, parse: ValidatorFunctionWrapHandler) -> timedelta:
    """One message for whatever is no duration, in the words of the other settings."""
    try:
        found: timedelta = parse(parse_duration(value))
    except ValidationError:
        found = timedelta(-1)
    if found < timedelta(0):
        raise ValueError("expected a duration such as 90s, 15m, 2h or 1d")
    return found


Duration = Annotated[timedelta, WrapValidator(_judge)]
"""Never negative; a bare number counts seconds."""


def _measured(value: object) -> timedelta:
    """A bare number says no unit, and no time at all is no span."""
    found = timedelta(0)
    if isinstance(value, timedelta) or (isinstance(value, str) and not _BARE.match(value)):
        try:
            found = _DURATION.validate_python(value)
        except ValidationError:
            found = timedelta(0)
    if not found:
        raise ValueError("expected a duration with its unit, such as 90s, 15m, 2h or 1d")
    return found


_DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)
Span = Annotated[timedelta, BeforeValidator(_measured)]
"""Above 0, with its unit: where a number alone might be taken for rows."""
