"""One poison record of each kind: each goes to dead letters with its reason, and nothing else changes."""

import json
from pathlib import Path

import pytest

from ingest.replay import read_dead_letters
from tests.e2e.program import Program, monitor_file
from tests.e2e.stream import Record, Sending, tallies, wait_until_accounted

START_MS = 1_700_000_000_000
FAR_MS = 32_503_680_000_000
SOUND = 300


def record(entity: object, time: object, key: str = "p1", **signals: object) -> Record:
    return key.encode(), json.dumps({"entity": entity, "time": time, **signals}).encode(), None


POISON: dict[tuple[str, str], Record] = {
    ("malformed", ""): (b"p1", b'{"entity": "p1", ', None),
    ("wrong-type", "HR"): record("p1", START_MS + 1, HR="fast", SaO2=97),
    ("not-finite", "HR"): (b"p1", b'{"entity":"p1","time":%d,"HR":NaN,"SaO2":97}' % (START_MS + 2), None),
    ("not-finite", "Temp"): (b"p1", b'{"entity":"p1","time":%d,"Temp":Infinity,"SaO2":97}' % (START_MS + 3), None),
    ("implausible", "HR"): record("p1", START_MS + 4, HR=1e30, SaO2=97),
    ("missing-entity", ""): (b"p1", b'{"time":%d,"HR":80}' % (START_MS + 5), None),
    ("wrong-entity", ""): record(17, START_MS + 6, HR=80),
    ("key-mismatch", ""): record("p2", START_MS + 7, HR=80),
    ("wrong-clock", ""): record("p1", FAR_MS, HR=80),
    ("too-large", ""): (b"p1", b'{"entity":"p1","note":"' + b"x" * 5_000_000 + b'"}', None),
}


def sound_records() -> list[Record]:
    return [
        record(f"s{n % 5}", START_MS + 60_000 * n, key=f"s{n % 5}", HR=70 + n % 7, SaO2=97 - n % 2)
        for n in range(SOUND)
    ]


@pytest.mark.service
def test_each_poison_record_is_put_aside_with_its_reason_and_nothing_else_changes(
    kafka: str, fresh_postgres: str, topic: str, tmp_path: Path
) -> None:
    path, monitor = monitor_file(tmp_path / "poison", kafka, fresh_postgres, topic)
    sound = sound_records()
    records = [*sound[:150], *POISON.values(), *sound[150:]]
    Sending.start(records, kafka, topic, rate=None).thread.join()
    program = Program(["run", str(path), "--no-learn", "--json"]).start()
    try:
        wait_until_accounted(fresh_postgres, "health", len(records), 120)
    finally:
        program.stop()
    letters = read_dead_letters(kafka, monitor.topics.dlq)
    by_signal = sum(1 for _, signal in POISON if signal)
    assert sorted((letter.letter.reason, letter.letter.signal) for letter in letters) == sorted(POISON)
    assert tallies(fresh_postgres, "health") == {
        "accepted": SOUND,
        "partly": by_signal,
        "dead_lettered": len(POISON) - by_signal,
        "duplicate": 0,
    }
