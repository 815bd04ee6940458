"""Event times in a file: ISO 8601 texts, dates, timestamps or epoch milliseconds, always UTC, cut to the millisecond.

pandas is imported inside the functions, so that importing `ingest` stays cheap. N rows.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.clock import EARLIEST_MS
from schemas.errors import InputError
from schemas.observation import Bool, Float64, Int64

if TYPE_CHECKING:
    import pandas as pd

_LATEST_MS = 253_402_300_799_999  # the end of the year 9999: the last time that datetime can hold
_NS_PER_MS = 1_000_000
_SECONDS = (4e8, 5e9)
"""Of these numbers, as milliseconds, all are of the first two months of 1970; as seconds, of 1982 to 2128."""
_DATES = (19_000_101, 21_001_231)
"""As milliseconds, of half an hour in the morning of 1970."""
_PER_MS = {"ms": 1, "us": 1_000, "ns": _NS_PER_MS}


@dataclass(frozen=True, slots=True)
class Times:
    """Event times of a column.

    Attributes:
        ms: epoch milliseconds, [N]; a cell that holds no time has that of the one before it.
        below_ns: what was cut off, nanoseconds, [N].
        timed: did the cell hold a time? [N].
    """

    ms: Int64
    below_ns: Int64
    timed: Bool


def read_times(column: "pd.Series", where: str = "times") -> Times:
    """Read a column of numbers, texts, dates or timestamps.

    A number, also as text, is epoch milliseconds; where most are calendar dates such as 20260131 (ISO 8601, basic
    format), all are meant as such, and one that is none holds no time.

    Raises InputError, which begins with `where`, when all of them look like seconds.
    """
    import pandas as pd  # noqa: PLC0415

    if pd.api.types.is_numeric_dtype(column.dtype):
        ms, below_ns = _of_numbers(column.to_numpy(np.float64, na_value=np.nan))
    else:
        ms, below_ns = _parsed(column)
    known = ms[np.isfinite(ms)]
    if len(known) and _SECONDS[0] <= known.min() and known.max() <= _SECONDS[1]:
        seen, day = float(known.min()), pd.Timestamp(known.min(), unit="ms").date()
        raise InputError(
            f"{where}: got {seen:.0f}, which is of {day}; expected epoch milliseconds: these look like seconds"
        )
    timed = (ms >= EARLIEST_MS) & (ms <= _LATEST_MS)
    return Times(_filled(ms, timed), _filled(below_ns, timed), timed)


def _days(numbers: Float64) -> Float64:
    """Midnights, where most numbers are dates of 1900 to 2100 in eight digits, NaN for the others; else the numbers."""
    import pandas as pd  # noqa: PLC0415

    likely = (numbers >= _DATES[0]) & (numbers <= _DATES[1])
    if 2 * likely.sum() <= np.isfinite(numbers).sum():
        return numbers
    days = pd.to_datetime(pd.Series(numbers[likely]).astype("int64").astype(str), format="%Y%m%d", errors="coerce")
    if 2 * days.notna().sum() <= np.isfinite(numbers).sum():
        return numbers
    ms = np.full(len(numbers), np.nan)
    ms[likely] = _of_moments(days)[0]
    return ms


def _filled(values: Float64, timed: Bool) -> Int64:
    """Cells without time get the one before, or the first that has one."""
    import pandas as pd  # noqa: PLC0415

    filled = pd.Series(np.where(timed, values, np.nan)).ffill().bfill().fillna(0.0)
    return filled.to_numpy(np.float64).astype(np.int64)


def _parsed(column: "pd.Series") -> tuple[Float64, Float64]:
    import pandas as pd  # noqa: PLC0415

    moments = _of_moments(pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601"))
    if column.dtype.kind == "M":
        return moments
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    ms, below_ns = (
        np.where(np.isnan(numbers), of_moment, of_number)
        for of_moment, of_number in zip(moments, _of_numbers(numbers), strict=True)
    )
    return ms, below_ns


def _of_numbers(ms: Float64) -> tuple[Float64, Float64]:
    """Whole milliseconds, and nanoseconds beyond them."""
    ms = _days(ms)
    whole = np.floor(ms)
    finite = np.isfinite(ms)
    return whole, np.where(finite, np.rint((ms - np.where(finite, whole, ms)) * _NS_PER_MS), np.nan)


def _of_moments(moments: "pd.Series") -> tuple[Float64, Float64]:
    if moments.dt.unit == "s":
        moments = moments.dt.as_unit("ms")
    per_ms = _PER_MS[moments.dt.unit]
    whole, rest = np.divmod(moments.astype("int64").to_numpy(), per_ms)
    none = moments.isna().to_numpy()
    return np.where(none, np.nan, whole), np.where(none, np.nan, rest * (_NS_PER_MS // per_ms))
