"""The headers of a dead letter, in the words of Kafka Connect and of Spring."""

from dataclasses import replace

from ingest.deadletters import LONGEST, headers, letter_id
from schemas.observation import DeadLetter, Partition

LETTER = DeadLetter(Partition("vitals", 3), 258, "wrong-type", "expected a number", "spo2", b"p1", b"{}", 1_000)


def test_origin_stands_in_both_families_of_headers() -> None:
    found = dict(headers(LETTER))

    assert {name: value for name, value in found.items() if name != "bellwether.id"} == {
        "__connect.errors.topic": b"vitals",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"258",
        "__connect.errors.stage": b"VALUE_CONVERTER",
        "__connect.errors.exception.class.name": b"bellwether.RefusedObservation",
        "__connect.errors.exception.message": b"wrong-type: expected a number",
        "kafka_dlt-original-topic": b"vitals",
        "kafka_dlt-original-partition": b"\x00\x00\x00\x03",
        "kafka_dlt-original-offset": b"\x00\x00\x00\x00\x00\x00\x01\x02",
        "kafka_dlt-original-timestamp": b"\x00\x00\x00\x00\x00\x00\x03\xe8",
        "kafka_dlt-exception-fqcn": b"bellwether.RefusedObservation",
        "kafka_dlt-exception-message": b"wrong-type: expected a number",
        "bellwether.reason": b"wrong-type",
        "bellwether.detail": b"expected a number",
        "bellwether.signal": b"spo2",
    }


def test_the_same_letter_has_the_same_id_and_another_signal_another() -> None:
    ids = [letter_id(letter) for letter in (LETTER, replace(LETTER, detail="x"), replace(LETTER, signal="\ud800"))]

    assert ids[0] == ids[1] != ids[2]


def test_a_cut_value_says_how_long_it_was() -> None:
    assert dict(headers(replace(LETTER, value=b"x" * (LONGEST + 1))))["bellwether.truncated"] == b"65537"
