"""Recorded cameras through a real broker: binary frames in, alerts out, and refused ones sent again."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from infra.assembly import first_version, shard_parts, utc_now
from infra.feeds.scenes import record, shots
from infra.memory import MemoryLedger, MemoryRegistry
from infra.settings import load_monitor
from ingest.files import FileSource
from ingest.frame_records import frame_headers
from ingest.kafka import KafkaSource
from ingest.producer import create_topics, publish
from ingest.recording import frame_messages
from ingest.replay import read_dead_letters, replay_dead_letters
from schemas.alert import Alert
from schemas.layout import Layout
from schemas.observation import Partition
from schemas.protocols import Source
from scorer.run import run
from scorer.shard import SnapshotPolicy

pytestmark = pytest.mark.service
TORN = (b"camera-0", b"no picture", None, frame_headers("camera-0", 1_600_000_000_000, "jpeg"))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    record(shots(cameras=2, seconds=120, seed=10), folder)
    return folder


def layout(kafka: str, topic: str) -> Layout:
    monitor = load_monitor("surveillance", {"BELLWETHER_KAFKA__BOOTSTRAP_SERVERS": kafka})
    return Layout(monitor.model_copy(update={"topics": monitor.topics.model_copy(update={"observations": topic})}))


def scored(source: Source, layout: Layout, rows: int) -> Iterator[Alert]:
    registry = MemoryRegistry()
    first_version(layout, registry)
    parts = shard_parts(layout, MemoryLedger(), registry, SnapshotPolicy(None, timedelta()), look_seconds=0.0)
    for each in run(source, parts.shard, parts.pipeline):
        if each is not None:
            yield from each.alerts
            rows -= len(each.predictions.batch)
        if rows <= 0:
            return


def said(alert: Alert) -> tuple[str, str, str, str]:
    return alert.entity, alert.event_time.isoformat(), alert.task, alert.summary


def test_frames_from_a_topic_raise_the_alerts_that_their_files_raise(kafka: str, topic: str, recording: Path) -> None:
    watched = layout(kafka, topic)
    create_topics(kafka, {topic: 1, watched.monitor.topics.dlq: 1})
    sent = publish([TORN, *frame_messages(recording)], kafka, topic).records
    source = KafkaSource(watched, utc_now, assign=[Partition(topic, 0)])

    streamed = [said(alert) for alert in scored(source, watched, sent - 1)]
    source.close()

    assert streamed
    assert streamed == [said(alert) for alert in scored(FileSource([recording], watched), watched, sent - 1)]


def test_a_refused_frame_is_sent_again_with_its_headers(kafka: str, topic: str, recording: Path) -> None:
    watched = layout(kafka, topic)
    create_topics(kafka, {topic: 1, watched.monitor.topics.dlq: 1})
    frames = list(frame_messages(recording))
    camera, picture, time_ms, _ = frames[0]
    late = (camera, picture, time_ms, frame_headers(camera.decode(), time_ms - 1, "png"))
    sent = publish([TORN, *frames, late], kafka, topic).records
    source = KafkaSource(watched, utc_now, assign=[Partition(topic, 0)])
    list(scored(source, watched, sent - 1))
    source.close()

    replayed = replay_dead_letters(kafka, watched.monitor.topics.dlq)
    found = [stored.letter for stored in read_dead_letters(kafka, watched.monitor.topics.dlq)]

    assert (replayed.replayed, [letter.reason for letter in found]) == (2, ["malformed", "late"])
    assert [(letter.value, list(letter.headers)) for letter in found] == [(TORN[1], TORN[3]), (picture, late[3])]
