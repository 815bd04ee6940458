"""Durations in configuration and on the command line: ``90s``, ``15m``, ``2h``, ``1d`` or ISO 8601."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHORT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$")


def parse_duration(value: object) -> object:
    """Turn the short form into a timedelta; leave anything else for pydantic to judge."""
    if isinstance(value, str) and (match := _SHORT.match(value)):
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
