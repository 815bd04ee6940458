"""No label is known before its time."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from infra.backtest.reveals import Reveals, of_entities, of_rows
from ingest.events import read_events
from ingest.outcomes import Outcome, read_outcomes
from schemas.errors import InputError
from schemas.label import Label

START_MS = 1_700_000_000_000


@pytest.fixture
def events(tmp_path: Path):
    """a at minutes 0, 2, 4 and b at minutes 1, 3; the label is 1 at a's second row, unknown at b's first."""
    frame = pd.DataFrame({"entity": list("ababa"), "time": START_MS + np.arange(5) * 60_000, "x": 1.0})
    path = tmp_path / "rows.csv"
    frame.assign(label=[0, None, 1, 0, 0]).to_csv(path, index=False)
    return read_events([path])


def found(labels):
    return [(at, label.entity, label.value) for at, label in labels]


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (0, [(0, "a", False), (2, "a", True), (3, "b", False), (4, "a", False)]),
        (1, [(2, "a", False), (4, "a", True)]),
        (3, []),
        (timedelta(0), [(0, "a", False), (2, "a", True), (3, "b", False), (4, "a", False)]),
        (timedelta(seconds=61), [(2, "a", False), (4, "a", True)]),
        (timedelta(minutes=2), [(2, "a", False), (4, "a", True)]),
    ],
)
def test_a_label_is_revealed_by_the_first_row_past_its_delay(events, delay, expected):
    assert found(of_rows(events, events.order(), "anomaly", delay)) == expected


def test_an_outcome_is_revealed_by_the_first_row_at_its_time(events):
    told = [Outcome("a", "death", value=True, revealed_ms=START_MS + minute * 60_000) for minute in (-5, 2, 99)]
    assert [at for at, _ in of_entities(told, events, events.order())] == [0, 2]


def test_each_label_is_handed_out_once_and_only_when_its_row_was_scored():
    labels = [Label("a", "anomaly", minute, value=True) for minute in range(3)]
    reveals = Reveals([(5, labels[2]), (0, labels[0]), (3, labels[1])])
    assert [reveals.until(end) for end in (0, 1, 5, 6, 9)] == [[], [labels[0]], [labels[1]], [labels[2]], []]


def test_outcomes_are_read_with_their_times(tmp_path: Path):
    path = tmp_path / "outcomes.csv"
    path.write_text(
        "entity,task,label,revealed_at\n007,death,1,2026-01-01T00:00:00Z\n8,death,0,1767225600000\n9,death,,0\n"
    )
    assert read_outcomes(path) == [
        Outcome("007", "death", True, 1767225600000),
        Outcome("8", "death", False, 1767225600000),
    ]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("1,death,2,0", "line 3: expected label 0 or 1"),
        ("1,death,yes,0", "line 3: expected label 0 or 1"),
        ("1,death,1,soon", "line 3: expected revealed_at"),
        (",death,1,0", "line 3: expected an entity"),
    ],
)
def test_a_wrong_outcome_is_named_by_its_line(tmp_path: Path, row: str, complaint: str):
    path = tmp_path / "outcomes.csv"
    path.write_text(f"entity,task,label,revealed_at\n1,death,0,0\n{row}\n")
    with pytest.raises(InputError, match=complaint):
        read_outcomes(path)


def test_a_missing_column_of_outcomes_is_named(tmp_path: Path):
    path = tmp_path / "outcomes.csv"
    path.write_text("entity,task,label\n1,death,0\n")
    with pytest.raises(InputError, match="revealed_at"):
        read_outcomes(path)
