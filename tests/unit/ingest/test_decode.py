"""Every kind of poison: what remains and what is dead-lettered."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.decode import Decoder
from ingest.record import PlainRecord
from schemas.observation import Batch, Partition, Status

TIME = "2026-03-01T11:59:00Z"
TIME_MS = 1_772_366_340_000
NAN = float("nan")
Decode = Callable[..., Batch]


def message(**fields: object) -> dict[str, object]:
    return {"patient": "p1", "time": TIME, "heart rate": 80, "spo2": 97.5} | fields


def letters(batch: Batch) -> list[tuple[int, str, str]]:
    return [(letter.offset, letter.reason, letter.signal) for letter in batch.dead_letters]


def test_a_sound_record_becomes_a_row_in_layout_order(decode: Decode) -> None:
    batch = decode((b"p1", message(age=71)))

    assert (batch.entity, batch.time_ms.tolist(), batch.offset.tolist()) == (["p1"], [TIME_MS], [0])
    np.testing.assert_array_equal(batch.values, [[80, 97.5, 71, NAN]])
    assert (batch.status.tolist(), batch.masked.tolist(), letters(batch)) == ([Status.OK], [False], [])
    assert (batch.partitions, batch.next_offsets) == ((Partition("vitals", 0),), (1,))


@pytest.mark.parametrize(
    "time", [TIME, TIME_MS, float(TIME_MS), "2026-03-01T11:59:00", "2026-03-01 12:59:00+01:00", "2026-03-01T11:59Z"]
)
def test_event_time_is_iso_8601_or_epoch_milliseconds(decode: Decode, time: object) -> None:
    assert decode((b"p1", message(time=time))).time_ms.tolist() == [TIME_MS]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "malformed"),
        (b"", "malformed"),
        (None, "malformed"),
        (b"[1, 2]", "malformed"),
        (b"\xff\xfe{", "malformed"),
        ('{"patient": "p1"}'.encode("utf-16"), "malformed"),
        (b"[" * 1_900, "malformed"),
        (b'{"patient": "p1", "x": "' + b"x" * 2_000 + b'"}', "too-large"),
        ({"time": TIME, "spo2": 97}, "missing-entity"),
        (message(patient=None), "missing-entity"),
        (message(patient=7), "wrong-entity"),
        (message(patient=""), "wrong-entity"),
        (message(patient="p" * 513), "wrong-entity"),
        (message(patient="p1\x00"), "wrong-entity"),
        (message(patient="\ud800"), "wrong-entity"),
        (message(patient="p2"), "key-mismatch"),
        ({"patient": "p1", "spo2": 97}, "missing-time"),
        (message(time="yesterday"), "wrong-clock"),
        (message(time=True), "wrong-clock"),
        (message(time=10**400), "wrong-clock"),
        (message(time="1899-12-31T23:59:59Z"), "wrong-clock"),
        (message(time="2026-03-01T12:05:00.001Z"), "wrong-clock"),
        ({"patient": "p1", "time": TIME}, "empty"),
        ({"patient": "p1", "time": TIME, "spo2": None}, "empty"),
        ({"patient": "p1", "time": TIME, "spo2": 1e30}, "implausible"),
        ({"patient": "p1", "time": TIME, "spo3": 97}, "unknown-signal"),
        (message(units=["%"]), "wrong-unit"),
    ],
)
def test_a_record_with_nothing_sound_goes_whole(decode: Decode, value: object, reason: str) -> None:
    batch = decode((b"p1", value))

    assert (len(batch), letters(batch), batch.next_offsets) == (0, [(0, reason, "")], (1,))


def test_a_record_without_key_goes_whole(decode: Decode) -> None:
    assert letters(decode((None, message()))) == [(0, "key-mismatch", "")]


@pytest.mark.parametrize(
    ("fields", "reason", "signal"),
    [
        ({"heart rate": "80"}, "wrong-type", "heart rate"),
        ({"heart rate": True}, "wrong-type", "heart rate"),
        ({"heart rate": [80]}, "wrong-type", "heart rate"),
        ({"heart rate": NAN}, "not-finite", "heart rate"),
        ({"heart rate": float("inf")}, "not-finite", "heart rate"),
        ({"heart rate": 1e30}, "implausible", "heart rate"),
        ({"heart rate": 10**400}, "implausible", "heart rate"),
        ({"heart rate": -1}, "implausible", "heart rate"),
        ({"heart rate": 80, "units": {"heart rate": "Hz"}}, "wrong-unit", "heart rate"),
    ],
)
def test_a_bad_signal_is_masked_and_the_rest_goes_on(
    decode: Decode, fields: dict[str, object], reason: str, signal: str
) -> None:
    batch = decode((b"p1", message(**fields)))

    np.testing.assert_array_equal(batch.values, [[NAN, 97.5, NAN, NAN]])
    assert (letters(batch), batch.masked.tolist()) == ([(0, reason, signal)], [True])


@pytest.mark.parametrize("name", ["spo3", "pressure", "\x00units"])
def test_an_unknown_or_global_signal_is_dead_lettered_alone(decode: Decode, name: str) -> None:
    batch = decode((b"p1", message(**{name: 1000})))

    np.testing.assert_array_equal(batch.values, [[80, 97.5, NAN, NAN]])
    assert letters(batch) == [(0, "unknown-signal", name)]


def test_a_record_of_many_unknown_signals_makes_few_dead_letters(decode: Decode) -> None:
    assert len(letters(decode((b"p1", message(**{f"x{i}": 1 for i in range(100)}))))) == 16


@pytest.mark.parametrize("times", [1, 2])
def test_declared_units_are_held_against_the_configured_ones(decoder: Decoder, times: int) -> None:
    right = json.dumps(message(units={"heart rate": "/min", "spo2": "%"})).encode()
    absent_wrong = json.dumps(message(units={"age": "mo"})).encode()
    wrong = json.dumps(message(age=7, units={"age": "mo"})).encode()
    values = [right, absent_wrong, wrong]

    for _ in range(times):
        records = [PlainRecord(b"p1", value, offset) for offset, value in enumerate(values)]
        batch = decoder.decode({Partition("vitals", 0): records})

    assert (batch.masked.tolist(), letters(batch)) == ([False, False, True], [(2, "wrong-unit", "age")])


def test_a_dead_letter_keeps_its_origin_and_names_no_payload(decode: Decode) -> None:
    letter = decode((b"p1", message(**{"heart rate": 98_765}))).dead_letters[0]

    assert (letter.partition, letter.key) == (Partition("vitals", 0), b"p1")
    assert json.loads(letter.value or b"") == message(**{"heart rate": 98_765})
    assert "98765" not in letter.detail
    assert "p1" not in letter.detail


def test_order_and_offsets_hold_over_partitions_with_poison_between(decoder: Decoder) -> None:
    sound, bad = json.dumps(message()).encode(), b"{"
    masked = json.dumps(message(spo2="?")).encode()
    first = [PlainRecord(b"p1", value, 10 + i) for i, value in enumerate([sound, bad, masked, sound])]
    second = [PlainRecord(b"p1", value, 7 + i) for i, value in enumerate([bad, bad])]
    third = [PlainRecord(b"p1", sound, 3)]

    batch = decoder.decode(dict(zip((Partition("vitals", n) for n in range(3)), (first, second, third), strict=True)))

    assert batch.partition.tolist() == [0, 0, 0, 2]
    assert batch.offset.tolist() == [10, 12, 13, 3]
    assert batch.next_offsets == (14, 9, 4)
    assert batch.raw == [sound, masked, sound, sound]
    assert letters(batch) == [
        (11, "malformed", ""),
        (12, "wrong-type", "spo2"),
        (7, "malformed", ""),
        (8, "malformed", ""),
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
field_names = st.sampled_from(["patient", "time", "heart rate", "spo2", "age", "pressure", "units"]) | st.text()
almost = st.dictionaries(field_names, json_values | st.sampled_from(["p1", TIME, TIME_MS, 80]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.lists(st.none() | st.binary() | almost.map(lambda found: json.dumps(found).encode()), max_size=8))
def test_decoding_never_raises_and_accounts_for_every_record(decoder: Decoder, values: list[bytes | None]) -> None:
    batch = decoder.decode({Partition("vitals", 0): [PlainRecord(b"p1", value, i) for i, value in enumerate(values)]})

    whole = [letter.offset for letter in batch.dead_letters if not letter.signal]
    partly = {letter.offset for letter in batch.dead_letters if letter.signal}
    assert sorted(batch.offset.tolist() + whole) == list(range(len(values)))
    assert partly == set(batch.offset[batch.masked].tolist())
    assert not np.isinf(batch.values).any()
    assert not np.isnan(batch.values).all(axis=1).any()
