"""Wide files become batches by time, and every input row is answered."""

import gzip
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ingest.events import to_messages
from ingest.files import INPUT, FileSource
from ingest.part import Wanted
from ingest.wide import read_events
from schemas.errors import InputError
from schemas.layout import Layout
from schemas.observation import Batch, Partition, Status

NAN = float("nan")


class Reader:
    def adopt(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, -2)

    def release(self, partitions: Sequence[Partition]) -> None:
        raise AssertionError("files are never taken away")


def read(layout: Layout, *files: Path, batch_rows: int = 100) -> list[Batch]:
    return [batch for batch in FileSource(files, layout, batch_rows).batches(Reader()) if batch is not None]


def write(path: Path, text: str) -> Path:
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_rows_of_all_files_come_by_time_stable_by_position(layout: Layout, tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "patient,time,heart rate\np1,3000,61\n007,1000,62\np1,2000,63\n")
    b = write(tmp_path / "b.csv.gz", "time,spo2\n2000,91\n1970-01-01T00:00:01Z,92\n")

    (batch,) = read(layout, a, b)

    assert batch.entity == ["007", "b", "p1", "b", "p1"]
    assert batch.time_ms.tolist() == [1000, 1000, 2000, 2000, 3000]
    assert batch.offset.tolist() == [0, 1, 2, 3, 4]
    assert FileSource([a, b], layout).order.tolist() == [1, 4, 2, 3, 0]
    np.testing.assert_array_equal(batch.values[:, 0], [62, NAN, 63, NAN, 61])
    np.testing.assert_array_equal(batch.values[:, 1], [NAN, 92, NAN, 91, NAN])
    assert (batch.partitions, batch.next_offsets) == ((INPUT,), (5,))


def test_every_row_is_answered_and_bad_cells_are_masked(layout: Layout, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "patient,time,heart rate,spo2,label\n"
        "p1,1000,60,97,0\n"
        "p1,soon,60,97,0\n"
        "p1,2000,1e30,97,1\n"
        "p1,3000,60,what,0\n"
        "p1,4000,inf,,0\n"
        "p1,5000,,,0\n"
        ",6000,60,97,\n",
    )

    (batch,) = read(layout, path)

    ok, invalid = Status.OK, Status.INVALID
    assert batch.offset.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert batch.status.tolist() == [ok, invalid, ok, ok, invalid, invalid, invalid]
    assert batch.masked.tolist() == [False, False, True, True, False, False, False]
    np.testing.assert_array_equal(batch.values[:, 0], [60, NAN, NAN, 60, NAN, NAN, NAN])
    np.testing.assert_array_equal(batch.values[:, 1], [97, NAN, 97, NAN, NAN, NAN, NAN])
    assert [(letter.offset, letter.reason, letter.signal) for letter in batch.dead_letters] == [
        (1, "wrong-clock", ""),
        (2, "implausible", "heart rate"),
        (3, "wrong-type", "spo2"),
        (4, "not-finite", ""),
        (5, "empty", ""),
        (6, "wrong-entity", ""),
    ]


def test_a_row_without_time_keeps_its_place_after_the_row_before_it(layout: Layout, tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "time,spo2\n,90\n3000,91\n,92\n")
    b = write(tmp_path / "b.csv", "time,spo2\n2000,93\n4000,94\n")

    (batch,) = read(layout, a, b)

    assert FileSource([a, b], layout).order.tolist() == [3, 0, 1, 2, 4]
    assert batch.status.tolist() == [Status.OK, Status.INVALID, Status.OK, Status.INVALID, Status.OK]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([1000, 2000]),
        pa.array(["1970-01-01T00:00:01Z", "1970-01-01 01:00:02+01:00"]),
        pa.array(["1000", "2000"]),
        pa.array([1_000_000, 2_000_000], pa.timestamp("us")),
        pa.array([1, 2], pa.timestamp("s", "Europe/Paris")),
    ],
)
def test_parquet_times_of_any_kind_are_utc_milliseconds(layout: Layout, tmp_path: Path, times: pa.Array) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"patient": pa.array([7, 8]), "time": times, "spo2": pa.array([97, None])}), path)

    (batch,) = read(layout, path)

    assert (batch.entity, batch.time_ms.tolist()) == (["7", "8"], [1000, 2000])
    assert batch.status.tolist() == [Status.OK, Status.INVALID]


def test_batches_are_cut_by_number_of_rows(layout: Layout, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,spo2\n" + "".join(f"{i},97\n" for i in range(1000, 1005)))

    batches = read(layout, path, batch_rows=2)

    assert [(len(batch), batch.next_offsets) for batch in batches] == [(2, (2,)), (2, (4,)), (1, (5,))]


def test_a_text_far_behind_the_first_block_masks_one_cell(layout: Layout, tmp_path: Path) -> None:
    rows = [f"{i},97.5\n" for i in range(1000, 131_000)]
    rows[-1] = "131000,none\n"
    path = write(tmp_path / "a.csv", "time,spo2\n" + "".join(rows))

    source = FileSource([path], layout, 200_000)
    (batch,) = [batch for batch in source.batches(Reader()) if batch is not None]
    source.dead_letter(batch.dead_letters)

    assert np.flatnonzero(batch.status == Status.INVALID).tolist() == [129_999]
    assert source.refused == {"wrong-type": 1}


def test_times_below_a_millisecond_keep_their_order_and_are_counted(layout: Layout, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "patient,time,spo2\n"
        "p1,1970-01-01T00:00:01.0007Z,97\n"
        "p1,1970-01-01T00:00:01.0002Z,96\n"
        "p2,1970-01-01T00:00:01.0002Z,95\n"
        "p1,1970-01-01T00:00:01.0002Z,96\n"
        "p1,soon,94\n",
    )

    source = FileSource([path], layout)

    assert (source.order.tolist(), source.events.collapsed()) == ([1, 2, 3, 4, 0], 1)


@pytest.mark.parametrize(
    ("cell", "shown"), [("maybe", "'maybe'"), ("2", "2.0"), ("-1", "-1.0"), ("0.5", "0.5"), ("inf", "inf")]
)
def test_a_label_that_is_neither_0_nor_1_is_refused_by_its_row(tmp_path: Path, cell: str, shown: str) -> None:
    path = write(tmp_path / "a.csv", f"time,spo2,label\n1000,97,1\n1001,97,\n1002,97,{cell}\n")

    with pytest.raises(InputError, match=rf"a\.csv: row 3: label: got {shown}; expected 0, 1 or nothing"):
        read_events([path], Wanted(labelled=True))


def test_labels_that_nobody_asked_for_may_be_anything(tmp_path: Path) -> None:
    events = read_events([write(tmp_path / "a.csv", "time,spo2,label\n1000,97,sepsis\n")])
    assert (events.label, list(events.columns)) == (None, ["spo2"])


def test_files_without_a_signal_of_the_monitor_are_refused_by_what_they_hold(layout: Layout, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,hr,note\n1000,60,x\n")

    expected = r"a\.csv: got columns hr, note; expected a signal of ward: heart rate, spo2, age, pressure"
    with pytest.raises(InputError, match=expected):
        FileSource([path], layout)


def test_messages_come_by_time_with_numbers_only(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv", "entity,time,hr,rr,label\nb,2026-03-01T12:00:00Z,60,,1\na,1000,,12.5,0\na,soon,1,,0\n"
    )

    noon = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)
    assert list(to_messages(read_events([path]), ["hr", "rr"])) == [
        (b"a", b'{"entity":"a","time":1000,"rr":12.5}', 1000),
        (b"a", b'{"entity":"a","time":null,"hr":1.0}', None),
        (b"b", b'{"entity":"b","time":%d,"hr":60.0}' % noon, noon),
    ]


def test_times_that_cannot_be_read_in_any_row_are_refused_by_the_first(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,spo2\nsoon,97\n,96\nlater,95\n")

    expected = r"a\.csv: row 1: time: got 'soon'; expected ISO 8601 or epoch milliseconds, which no row of the file has"
    with pytest.raises(InputError, match=expected):
        read_events([path])


def test_one_of_several_files_may_have_no_row(tmp_path: Path) -> None:
    full, bare = write(tmp_path / "a.csv", "time,spo2\n1000,97\n"), write(tmp_path / "b.csv", "time,spo2\n")

    assert len(read_events([full, bare])) == 1
    with pytest.raises(InputError, match=r"b\.csv: got no row; expected at least one"):
        read_events([bare])


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_a_file_that_holds_nothing_is_named_as_that(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}: expected a table, got an empty file"):
        read_events([write(tmp_path / name, "")])


@pytest.mark.parametrize("name", ["gone.csv", "table.xlsx", "broken.parquet", "timeless.csv", "empty"])
def test_what_is_no_table_is_refused_by_name(layout: Layout, tmp_path: Path, name: str) -> None:
    write(tmp_path / "table.xlsx", "x")
    write(tmp_path / "broken.parquet", "x")
    write(tmp_path / "timeless.csv", "spo2\n97\n")
    (tmp_path / "empty").mkdir()

    with pytest.raises(InputError, match=name):
        FileSource([tmp_path / name], layout)
