"""Which columns of a file hold numbers is decided by what their cells are, never by how large."""

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from ingest.table import Kind, header, kinds, numbers, read
from schemas.errors import InputError

FAR = 150_000
"""Rows beyond the first block of a CSV of short lines."""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "-3e4"], Kind.NUMBERS),
        (["", "NaN", " 7 "], Kind.NUMBERS),
        (["bad", "1", "2"], Kind.NUMBERS),
        (["1", "bad", "2"], Kind.NUMBERS),
        (["a", "b", "3"], Kind.OTHER),
        (["true", "false", "true"], Kind.OTHER),
        (["2026-01-01", "2026-01-02", ""], Kind.OTHER),
        (["", "NA", " "], Kind.EMPTY),
    ],
)
def test_a_csv_column_is_numeric_where_half_of_its_cells_are_numbers(
    tmp_path: Path, cells: list[str], kind: Kind
) -> None:
    path = write(tmp_path / "a.csv", "time,x\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)))
    assert kinds(path) == {"time": Kind.NUMBERS, "x": kind}


def test_a_column_that_begins_far_behind_the_first_block_is_numeric(tmp_path: Path) -> None:
    rows = [f"{i},1,\n" for i in range(FAR)]
    path = write(tmp_path / "a.csv", "time,x,y\n" + "".join(rows) + f"{FAR},1,5\n")
    assert kinds(path)["y"] is Kind.NUMBERS


def test_a_column_without_a_name_is_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x,,\n1,2,3\n")
    assert kinds(path) == {"x": Kind.NUMBERS, "": Kind.NAMELESS}


def test_the_index_of_a_data_frame_is_no_column(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.concat([pd.DataFrame({"x": [1.0, 2.0]})] * 2).to_parquet(path)
    assert set(kinds(path).values()) == {Kind.NUMBERS, Kind.NAMELESS}
    assert kinds(path)["x"] is Kind.NUMBERS


def test_only_the_first_hundred_cells_decide(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x\n" + "1\n" * 100 + "bad\n" * 500)
    assert kinds(path) == {"x": Kind.NUMBERS}


def test_a_parquet_column_is_what_its_type_says_and_empty_where_it_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {"n": [1, None], "f": [None, 1.5], "nan": [float("nan"), None], "t": ["1", "2"], "b": [True, False]}
    columns |= {"null": [None, None], "when": [datetime(2026, 1, 1), None]}  # noqa: DTZ001
    parquet.write_table(pa.table(columns), path)
    assert kinds(path) == {
        "n": Kind.NUMBERS,
        "f": Kind.NUMBERS,
        "nan": Kind.EMPTY,
        "t": Kind.OTHER,
        "b": Kind.OTHER,
        "null": Kind.EMPTY,
        "when": Kind.OTHER,
    }


def test_a_bad_cell_changes_no_other_cell_to_the_last_bit(tmp_path: Path) -> None:
    drawn = list(map(repr, (np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(-250, 250)).tolist()))
    sound = write(tmp_path / "a.csv", "x\n" + "\n".join(drawn) + "\n1\n")
    broken = write(tmp_path / "b.csv", "x\n" + "\n".join(drawn) + "\nbad\n")
    found, bad = (numbers(read(path, numeric=["x"])["x"]) for path in (sound, broken))
    assert (found[0][:500].tolist(), bad[0][:500].tolist(), np.flatnonzero(bad[1]).tolist()) == (
        list(map(float, drawn)),
        list(map(float, drawn)),
        [500],
    )


def test_cells_are_numbers_missing_or_unreadable() -> None:
    texts = [" 1 ", "+2", ".5", "1e3", "inf", "", " ", "NaN", "null", "true", "False", "x", "1,5", "0x1", "1_0", None]
    found, unreadable = numbers(pa.chunked_array([texts]))
    nan = np.nan
    np.testing.assert_array_equal(found, [1, 2, 0.5, 1e3, np.inf, *[nan] * 4, 1, 0, *[nan] * 5])
    assert [texts[row] for row in np.flatnonzero(unreadable)] == ["x", "1,5", "0x1", "1_0"]


@pytest.mark.parametrize(
    ("column", "expected", "bad"),
    [
        (pa.array([1, None, 2**60]), [1.0, np.nan, 2.0**60], [False] * 3),
        (pa.array([True, False, None]), [1.0, 0.0, np.nan], [False] * 3),
        (pa.array(["1", "x", None]).dictionary_encode(), [1.0, np.nan, np.nan], [False, True, False]),
        (pa.array([None, None, None]), [np.nan] * 3, [False] * 3),
        (pa.array([1, None, 2], pa.timestamp("s")), [np.nan] * 3, [True, False, True]),
        (pa.array([1, None, 2]).cast(pa.decimal128(21, 2)), [1.0, np.nan, 2.0], [False] * 3),
    ],
)
def test_columns_of_any_type_become_numbers(column: pa.Array, expected: list[float], bad: list[bool]) -> None:
    found, unreadable = numbers(pa.chunked_array([column]))
    np.testing.assert_array_equal(found, expected)
    assert unreadable.tolist() == bad


def test_a_name_that_stands_twice_in_a_header_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,x,x,,\n1,2,3,,\n")
    with pytest.raises(InputError, match=r"a\.csv: got column 'x' 2 times; expected each name once"):
        header(path)


def test_a_row_of_another_length_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,x\n1,2\n1,2,secret\n")
    with pytest.raises(InputError, match=r"a\.csv.*Expected 2 columns, got 3") as caught:
        header(path)
    assert "secret" not in str(caught.value)


def test_a_pipe_is_refused_before_it_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="expected a file, got a pipe"):
        header(pipe)
