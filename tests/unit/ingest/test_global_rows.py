"""Global messages become rows that count from when they were known."""

import json
from datetime import UTC, datetime

import pytest

from ingest.global_rows import GlobalDecoder
from ingest.record import PlainRecord
from schemas.layout import Layout
from schemas.observation import GlobalRow, Partition

NOON_MS = 1_772_366_400_000
PRESSURE = 3


@pytest.mark.parametrize(
    ("message", "rows", "letters"),
    [
        ({"time": NOON_MS, "pressure": 1000}, [GlobalRow(NOON_MS, PRESSURE, 1000.0)], []),
        ({"time": 0, "known": "2026-03-01T12:00Z", "pressure": 1000}, [GlobalRow(NOON_MS, PRESSURE, 1000.0)], []),
        ({"time": NOON_MS, "known": 0, "pressure": 1000}, [GlobalRow(NOON_MS, PRESSURE, 1000.0)], []),
        ({"time": 0, "pressure": 1000, "spo2": 97}, [GlobalRow(0, PRESSURE, 1000.0)], [("unknown-signal", "spo2")]),
        ({"time": 0, "pressure": 1e30}, [], [("implausible", "")]),
        ({"time": 0, "known": "soon", "pressure": 1000}, [], [("wrong-clock", "")]),
        ({"pressure": 1000}, [], [("missing-time", "")]),
        ([], [], [("malformed", "")]),
    ],
)
def test_a_global_message_counts_from_when_it_was_known(
    layout: Layout, message: object, rows: list[GlobalRow], letters: list[tuple[str, str]]
) -> None:
    decoder = GlobalDecoder(layout, lambda: datetime(2026, 3, 1, 12, tzinfo=UTC))

    found, refused = decoder.decode({Partition("context", 0): [PlainRecord(None, json.dumps(message).encode(), 4)]})

    assert (found, [(letter.reason, letter.signal) for letter in refused]) == (rows, letters)
