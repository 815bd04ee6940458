"""Files of labels become messages of the labels topic."""

import json
from pathlib import Path

import pytest

from ingest.label_files import is_labels, label_messages
from schemas.errors import InputError


def messages(path: Path) -> list[tuple[bytes, dict[str, object]]]:
    return [(key, json.loads(value)) for key, value, _ in label_messages(path)]


def test_rows_become_messages_with_numbers_where_they_are_and_nothing_where_a_cell_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "entity,task,label,time,revealed_at,source\n"
        "007,pose,left,1700000000000,,anna\n"
        "b2,anomaly,1,2026-01-01T00:00:00Z,1700000000001,\n"
        "b3,anomaly,,5,,anna\n"
    )
    seven = {"entity": "007", "task": "pose", "label": "left", "time": 1700000000000, "source": "anna"}
    second = {"entity": "b2", "task": "anomaly", "label": 1, "time": "2026-01-01T00:00:00Z"}
    assert messages(path) == [(b"007", seven), (b"b2", second | {"revealed_at": 1700000000001})]


@pytest.mark.parametrize(
    ("columns", "expected"), [("entity,task,label,revealed_at", True), ("entity,time,label", False), ("a,b", False)]
)
def test_a_file_of_labels_is_known_by_its_columns(tmp_path: Path, columns: str, *, expected: bool) -> None:
    (tmp_path / "file.csv").write_text(f"{columns}\n")
    assert (is_labels(tmp_path / "file.csv"), is_labels(tmp_path)) == (expected, False)


def test_a_column_that_labels_do_not_have_is_named(tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_text("entity,task,label,occured_at\n")
    with pytest.raises(InputError, match="got column 'occured_at'; expected columns of labels: entity, time, task"):
        messages(tmp_path / "file.csv")
