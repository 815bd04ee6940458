"""Event times: ISO 8601 or epoch milliseconds, always UTC."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the current time, timezone-aware."""

EARLIEST_MS = -2_208_988_800_000
"""1900-01-01: an earlier event time is a broken clock, not history."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def epoch_ms(moment: datetime) -> int:
    """Epoch milliseconds; a time without zone is UTC, finer digits are cut off."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def read_time(value: object) -> int | None:
    """Epoch milliseconds of a JSON value, None where it is no time at all."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return math.floor(value) if -(2**53) < value < 2**53 else None
    if not isinstance(value, str):
        return None
    try:
        return epoch_ms(datetime.fromisoformat(value.strip()))
    except ValueError:
        return None


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)
