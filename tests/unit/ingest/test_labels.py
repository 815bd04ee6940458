"""Records of the labels topic: what each says, and why others are refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.labels import LabelDecoder
from ingest.record import PlainRecord
from schemas.label import Annotation, Label
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Partition
from tests.laws.ward import WARD
from tests.unit.ingest.conftest import NOW

TASKS = [
    {"name": "death", "kind": "event"},
    {"name": "pose", "kind": "state", "classes": ["up", "down", "left"]},
    {"name": "door", "kind": "state", "classes": ["shut", "open"]},
]
WHERE = Partition("told", 2)
TIME_MS, SENT_MS = 1_772_366_340_000, 1_772_366_350_000
TIME = "2026-03-01T11:59:00Z"


def decoder() -> LabelDecoder:
    described = WARD | {"entity": "bed", "tasks": [*WARD["tasks"], *TASKS]}
    described["topics"] = {"observations": "vitals", "labels": "told"}
    return LabelDecoder(Layout(Monitor.model_validate(described)), lambda: NOW)


def decoded(document: object, key: bytes | None = b"b1"):
    value = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decoder().decode({WHERE: [PlainRecord(key, value, 7, SENT_MS)]})


def said(**fields: object) -> dict[str, object]:
    return {"bed": "b1", "task": "anomaly", "label": 1, "time": TIME} | fields


@pytest.mark.parametrize(
    ("fields", "label", "due_ms", "revealed_ms"),
    [
        ({}, Label("b1", "anomaly", TIME_MS, 1), TIME_MS, None),
        ({"label": False, "source": "anna"}, Label("b1", "anomaly", TIME_MS, 0, None, "anna"), TIME_MS, None),
        ({"revealed_at": TIME_MS + 5}, Label("b1", "anomaly", TIME_MS, 1), TIME_MS + 5, TIME_MS + 5),
        ({"task": "pose", "label": "left"}, Label("b1", "pose", TIME_MS, 2), TIME_MS, None),
        ({"task": "door", "label": "open"}, Label("b1", "door", TIME_MS, 1), TIME_MS, None),
        ({"task": "door", "label": 1.0}, Label("b1", "door", TIME_MS, 1), TIME_MS, None),
        ({"task": "death"}, Label("b1", "death", TIME_MS, 1), TIME_MS, None),
        (
            {"task": "death", "label": "no", "time": None, "occurred_at": 5, "revealed_at": 9},
            Label("b1", "death", None, 0, 5),
            9,
            9,
        ),
        ({"task": "death", "time": None, "revealed_at": 9}, Label("b1", "death", None, 1, 9), 9, 9),
        ({"task": "death", "time": None}, Label("b1", "death", None, 1, SENT_MS), SENT_MS, None),
    ],
)
def test_a_sound_label_says_what_of_whom_and_from_when_it_may_be_learned(fields, label, due_ms, revealed_ms) -> None:
    assert decoded(said(**fields)) == ([Annotation(label, due_ms, revealed_ms, WHERE, 7)], [])


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"{", "malformed"),
        (b"[1]", "malformed"),
        (said(bed="b2"), "key-mismatch"),
        (said(bed=None), "missing-entity"),
        (said(task="soon"), "unknown-task"),
        (said(task="forecast"), "unknown-task"),
        (said(task=["anomaly"]), "unknown-task"),
        (said(label=2), "wrong-label"),
        (said(label=None), "wrong-label"),
        (said(label=float("nan")), "wrong-label"),
        (said(task="pose", label=1), "wrong-label"),
        (said(task="pose", label="right"), "wrong-label"),
        (said(time=None), "missing-time"),
        (said(time="2026-03-01T12:06:00Z"), "wrong-clock"),
        (said(revealed_at="soon"), "wrong-clock"),
        (said(task="death", time=None, occurred_at=9, revealed_at=5), "wrong-clock"),
        (said(occurred_at=5), "wrong-label"),
        (said(task="death", occurred_at=5), "wrong-label"),
        (said(occured_at=5), "unknown-field"),
        (said(source=7), "wrong-type"),
        (said(source="a" * 129), "wrong-type"),
        (said(source="a\x00"), "wrong-type"),
    ],
)
def test_a_label_that_is_not_sound_goes_whole_with_its_reason_and_origin(document: object, reason: str) -> None:
    found, letters = decoded(document)
    told = [(letter.partition, letter.offset, letter.key, letter.reason, letter.signal) for letter in letters]
    assert (found, told) == ([], [(WHERE, 7, b"b1", reason, "")])


def test_a_label_without_key_is_refused() -> None:
    assert [letter.reason for letter in decoded(said(), key=None)[1]] == ["key-mismatch"]


json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.none())
fields = st.dictionaries(st.sampled_from([*said(), "occurred_at", "revealed_at", "source", "x"]), json_values)


@given(st.none() | st.binary() | fields.map(lambda found: json.dumps(said(**found)).encode()))
def test_every_record_becomes_a_label_or_a_dead_letter(value: bytes | None) -> None:
    found, letters = decoder().decode({WHERE: [PlainRecord(b"b1", value, 7, SENT_MS)]})
    assert len(found) + len(letters) == 1
