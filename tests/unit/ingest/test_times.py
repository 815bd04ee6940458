"""Event times have a resolution of one millisecond; what lies below it is cut off, and known to have been."""

import pandas as pd
import pytest

from ingest.times import read_times
from schemas.errors import InputError


@pytest.mark.parametrize(
    ("cells", "ms", "below_ns"),
    [
        (["1970-01-01T00:00:01.0005Z", "1970-01-01T00:00:01Z"], [1000, 1000], [500_000, 0]),
        (["1970-01-01 00:00:00.123456789", "1970-01-01"], [123, 0], [456_789, 0]),
        (["1969-12-31T23:59:59.9995Z", "1000"], [-1, 1000], [500_000, 0]),
        ([1000.25, 2000.0], [1000, 2000], [250_000, 0]),
        (pd.to_datetime([1_500_250], unit="ns"), [1], [500_250]),
        (pd.to_datetime([7], unit="s", utc=True), [7000], [0]),
        ([19700102, 19700103], [86_400_000, 172_800_000], [0, 0]),
        (["19700102", "19691231"], [86_400_000, -86_400_000], [0, 0]),
        ([20_000_101, 20_000_199], [20_000_101, 20_000_199], [0, 0]),
        ([20_000_101, 5], [20_000_101, 5], [0, 0]),
        (["19700102", "1970-01-03"], [86_400_000, 172_800_000], [0, 0]),
        (pd.to_datetime([20_000_101], unit="ms"), [20_000_101], [0]),
    ],
)
def test_times_are_cut_to_the_millisecond(cells: object, ms: list[int], below_ns: list[int]) -> None:
    found = read_times(pd.Series(cells))
    assert (found.ms.tolist(), found.below_ns.tolist(), found.timed.all()) == (ms, below_ns, True)


def test_a_cell_without_time_has_that_of_the_one_before_it_and_is_marked() -> None:
    found = read_times(pd.Series(["soon", "1970-01-01T00:00:01.0005Z", "", "1e300", "3000"]))
    assert (found.ms.tolist(), found.below_ns.tolist(), found.timed.tolist()) == (
        [1000, 1000, 1000, 1000, 3000],
        [500_000, 500_000, 500_000, 500_000, 0],
        [False, True, False, False, True],
    )


@pytest.mark.parametrize("odd", ["99991231", "19700230", "-1"])
def test_among_dates_of_eight_digits_what_is_none_holds_no_time(odd: str) -> None:
    for cells in (["19700102", "19700103", odd], [19_700_102, 19_700_103, int(odd)]):
        found = read_times(pd.Series(cells))
        assert (found.ms.tolist(), found.timed.tolist()) == ([86_400_000, *[172_800_000] * 2], [True, True, False])


def test_an_empty_column_holds_no_time() -> None:
    found = read_times(pd.Series([None, None]))
    assert (found.ms.tolist(), found.timed.tolist()) == ([0, 0], [False, False])


def test_numbers_that_look_like_seconds_are_refused() -> None:
    for cells in ([1_767_225_600, 1_767_225_660], ["1767225600.5"]):
        with pytest.raises(InputError, match=r"got 1767225600, which is of 1970-01-21; expected epoch milliseconds"):
            read_times(pd.Series(cells))
    assert read_times(pd.Series([1_767_225_600, 1_767_225_600_000])).timed.all(), "not all of them do"
