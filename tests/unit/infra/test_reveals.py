"""No label is known before its time."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from infra.backtest.reveals import Reveals, of_entities, of_rows
from ingest.outcomes import Outcome, read_outcomes
from ingest.part import Wanted
from ingest.wide import read_events
from schemas.errors import InputError
from schemas.label import Label

START_MS = 1_700_000_000_000


@pytest.fixture
def events(tmp_path: Path):
    """a at minutes 0, 2, 4 and b at minutes 1, 3; the label is 1 at a's second row, unknown at b's first."""
    frame = pd.DataFrame({"entity": list("ababa"), "time": START_MS + np.arange(5) * 60_000, "x": 1.0})
    path = tmp_path / "rows.csv"
    frame.assign(label=[0, None, 1, 0, 0]).to_csv(path, index=False)
    return read_events([path], Wanted(labelled=True))


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
    assert found(of_rows(events, events.order(), {"anomaly": events.label}, delay)) == expected


def test_the_label_of_a_row_without_time_is_not_taken_for_its_neighbours(tmp_path: Path):
    path = tmp_path / "rows.csv"
    path.write_text("entity,time,x,label\na,1000,1,0\na,soon,1,1\na,3000,1,0\n")
    events = read_events([path], Wanted(labelled=True))
    assert found(of_rows(events, events.order(), {"anomaly": events.label}, 0)) == [(0, "a", False), (2, "a", False)]


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


def test_an_outcome_may_say_when_it_happened(tmp_path: Path):
    path = tmp_path / "outcomes.csv"
    path.write_text("entity,task,label,revealed_at,occurred_at\n1,fall,1,9000,4000\n1,fall,0,9000,\n")
    assert [each.known_until_ms for each in read_outcomes(path)] == [4000, 9000]


def test_nothing_is_revealed_before_it_happened(tmp_path: Path):
    path = tmp_path / "outcomes.csv"
    path.write_text("entity,task,label,revealed_at,occurred_at\n1,fall,1,4000,9000\n")
    with pytest.raises(InputError, match=r"row 1: occurred_at: got 9000; expected no later than revealed_at"):
        read_outcomes(path)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("1,death,2,0", "row 2: label: got 2.0; expected 0, 1 or nothing"),
        ("1,death,yes,0", "row 2: label: got 'yes'; expected 0, 1 or nothing"),
        ("1,death,1,soon", "row 2: revealed_at: got 'soon'; expected ISO 8601 or epoch milliseconds"),
        ("1,death,1,", "row 2: revealed_at: got nothing; expected ISO 8601 or epoch milliseconds"),
        (",death,1,0", "row 2: entity: got nothing; expected a name"),
        ("1,,1,0", "row 2: task: got nothing; expected a name"),
        ("1,death,1,0,0", "Expected 4 columns, got 5"),
    ],
)
def test_a_wrong_outcome_is_named_by_its_row_and_column(tmp_path: Path, row: str, complaint: str):
    path = tmp_path / "outcomes.csv"
    path.write_text(f"entity,task,label,revealed_at\n1,death,0,2026-01-01\n{row}\n")
    with pytest.raises(InputError, match=rf"outcomes\.csv: .*{complaint}"):
        read_outcomes(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected a table"),
        ("entity,task,label\n1,death,0\n", "expected a column 'revealed_at', got columns"),
        ("entity,task,label,label,revealed_at\n1,death,0,1,0\n", "got column 'label' 2 times"),
    ],
)
def test_a_file_that_is_no_table_of_outcomes_is_named(tmp_path: Path, text: str, complaint: str):
    path = tmp_path / "outcomes.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"outcomes\.csv: .*{complaint}"):
        read_outcomes(path)


def test_an_entity_may_be_called_na(tmp_path: Path):
    path = tmp_path / "outcomes.csv"
    path.write_text("entity,task,label,revealed_at\nNA,death,1,0\n\nnull,death,0,0\n")
    assert [each.entity for each in read_outcomes(path)] == ["NA", "null"]
