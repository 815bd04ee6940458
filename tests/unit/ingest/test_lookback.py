"""Rows read back from the log by offsets."""

from typing import NamedTuple

import pytest

from ingest.lookback import _Tape
from schemas.errors import InputError
from schemas.observation import Partition


class Record(NamedTuple):
    """What is read of one."""

    offset: int


class Log:
    """A consumer of one partition with `offsets`, three of them a poll."""

    def __init__(self, offsets):
        self._offsets, self._at, self.seeks = offsets, None, []

    def assign(self, partitions):
        """There is one."""

    def beginning_offsets(self, partitions):
        return dict.fromkeys(partitions, self._offsets[0])

    def seek(self, _, offset):
        self._at = offset
        self.seeks.append(offset)

    def position(self, _):
        return self._at

    def poll(self, timeout_ms):
        found = [Record(offset) for offset in self._offsets if offset >= self._at][:3]
        self._at = found[-1].offset + 1
        return {("t", 0): found}


def tape(monkeypatch, *offsets):
    monkeypatch.setattr("ingest.client.theirs", lambda partition: (partition.topic, partition.number))
    log = Log(offsets)
    return _Tape(log, Partition("t", 0)), log


def read(tape, *spans):
    return [[record.offset for record in tape.read(*span)] for span in spans]


def test_spans_that_follow_each_other_are_read_onwards_and_none_is_lost_between(monkeypatch):
    reader, log = tape(monkeypatch, *range(9))
    assert read(reader, (0, 2), (2, 3), (3, 8)) == [[0, 1], [2], [3, 4, 5, 6, 7]]
    assert log.seeks == [0]


def test_a_span_before_the_last_one_is_read_again(monkeypatch):
    reader, _ = tape(monkeypatch, *range(9))
    assert read(reader, (3, 5), (1, 3)) == [[3, 4], [1, 2]]


def test_offsets_that_hold_no_record_are_passed_over(monkeypatch):
    reader, _ = tape(monkeypatch, 0, 1, 5, 6)
    assert read(reader, (0, 4), (4, 7)) == [[0, 1], [5, 6]]


def test_below_zero_is_the_beginning_and_what_the_topic_lost_is_an_error(monkeypatch):
    reader, _ = tape(monkeypatch, 4, 5, 6)
    assert read(reader, (-1, 6)) == [[4, 5]]
    with pytest.raises(InputError, match="begins at 4"):
        reader.read(3, 6)
