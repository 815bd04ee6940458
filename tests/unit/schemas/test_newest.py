"""How new rows are, by both clocks, also where nobody says when a record was written."""

from dataclasses import replace

import numpy as np

from schemas.newest import UNKNOWN, Newest
from tests.laws.ward import autoregressive, batch

ROWS = batch(*next(iter(autoregressive(1, 4, 0))))


def test_the_newest_of_rows_is_the_latest_by_each_clock_for_itself() -> None:
    times = replace(ROWS, time_ms=np.array([70, 50, 60, 40]), recorded_ms=np.array([100, 130, -1, 120]))
    assert UNKNOWN.with_rows(times) == Newest(70, 130)
    assert Newest(90, 110).with_rows(times) == Newest(90, 130)


def test_where_nobody_says_when_records_were_written_it_is_unknown() -> None:
    times = np.array([70, 50, 60, 40])
    assert UNKNOWN.with_rows(replace(ROWS, time_ms=times, recorded_ms=None)) == Newest(70, 0)
    assert UNKNOWN.with_rows(replace(ROWS, time_ms=times, recorded_ms=np.full(4, -1))) == Newest(70, 0)
