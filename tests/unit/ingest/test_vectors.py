"""Frames and embeddings on their way in: what arrives, what is derived, and what is refused."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from ingest.decode import Decoder
from ingest.files import FileSource
from ingest.frame_records import frame_headers
from ingest.part import Wanted
from ingest.record import PlainRecord
from ingest.recording import frame_messages
from ingest.wide import read_events
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch, Partition, Status

LAYOUT = Layout(
    Monitor.model_validate(
        {
            "monitor": "gate",
            "topics": {"observations": "gate"},
            "modalities": [
                {"name": "door", "signals": [{"name": "opened", "range": [0, 9]}]},
                {"name": "camera", "kind": "image", "frame": {"height": 4, "width": 6}},
                {"name": "sound", "kind": "embedding", "size": 3},
            ],
            "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
        }
    )
)
GATE = Partition("gate", 0)
TIME_MS = 1_700_000_000_000
HALF = np.repeat(np.array([0, 255], dtype=np.uint8), 12).reshape(4, 6)
"""Black above, white below."""


def picture(pixels: np.ndarray, encoding: str = "png") -> bytes:
    written = BytesIO()
    Image.fromarray(pixels).save(written, encoding)
    return written.getvalue()


def framed(value: bytes, encoding: str = "png", time_ms: int = TIME_MS) -> PlainRecord:
    return PlainRecord(b"cam", value, 0, headers=frame_headers("cam", time_ms, encoding))


def message(**fields: object) -> PlainRecord:
    return PlainRecord(b"cam", msgspec.json.encode({"entity": "cam", "time": TIME_MS, **fields}), 0)


def decoded(*records: PlainRecord) -> Batch:
    return Decoder(LAYOUT, lambda: datetime(2030, 1, 1, tzinfo=UTC)).decode({GATE: records})


def refusals(batch: Batch) -> list[tuple[str, str]]:
    return [(letter.reason, letter.signal) for letter in batch.dead_letters]


def row(batch: Batch) -> dict[str, float]:
    return dict(zip(LAYOUT.names, batch.values[0].tolist(), strict=True))


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (picture(HALF), "png"),
        (HALF.tobytes(), "raw"),
        (picture(HALF.repeat(16, 0).repeat(16, 1)), "png"),
        (picture(np.dstack([HALF] * 3)), "png"),
    ],
    ids=["png", "raw", "larger", "coloured"],
)
def test_a_frame_of_any_size_is_carried_beside_its_brightness_and_contrast(value: bytes, encoding: str) -> None:
    batch = decoded(framed(value, encoding))
    np.testing.assert_array_equal(batch.vectors["camera"], HALF[None, None])
    assert row(batch) == pytest.approx(
        {"camera.brightness": 0.5, "camera.contrast": 0.5, "sound.norm": np.nan, "opened": np.nan}, nan_ok=True
    )


def test_a_jpeg_is_read() -> None:
    batch = decoded(framed(picture(np.full((40, 60), 51, dtype=np.uint8), "jpeg"), "jpeg"))
    assert row(batch)["camera.brightness"] == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (framed(b"no picture"), "malformed"),
        (framed(picture(HALF)[:45]), "malformed"),
        (framed(b"\0" * 23, "raw"), "wrong-size"),
        (framed(picture(HALF), "gif"), "malformed"),
        (framed(picture(HALF), time_ms=2**60), "wrong-clock"),
        (framed(picture(HALF))._replace(key=b"other"), "key-mismatch"),
        (framed(picture(HALF))._replace(headers=[("encoding", b"png")]), "missing-entity"),
        (framed(picture(np.zeros((5000, 5000), dtype=np.uint8))), "too-large"),
    ],
)
def test_an_unsound_frame_is_refused_whole_with_its_headers(record: PlainRecord, reason: str) -> None:
    batch = decoded(record, framed(picture(HALF)))
    assert (len(batch), refusals(batch), batch.dead_letters[0].headers) == (1, [(reason, "")], tuple(record.headers))


def test_an_embedding_is_carried_beside_its_norm() -> None:
    batch = decoded(message(sound=[3, 0.0, 4.0], opened=1.0))
    assert (batch.vectors["sound"].tolist(), row(batch)["sound.norm"], row(batch)["opened"]) == ([[3, 0, 4]], 5, 1)


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        ("[1, 2]", "wrong-size"),
        ("[1, 2, NaN]", "not-finite"),
        ("[1, 2, 1e39]", "not-finite"),
        ("[1, 2, 1e30]", "implausible"),
        ('[1, 2, "3"]', "wrong-type"),
        ("7", "wrong-type"),
    ],
)
def test_an_unsound_embedding_is_refused_and_the_rest_is_scored(sound: str, reason: str) -> None:
    value = f'{{"entity": "cam", "time": {TIME_MS}, "opened": 2, "sound": {sound}}}'.encode()
    batch = decoded(PlainRecord(b"cam", value, 0))
    assert (refusals(batch), row(batch)["opened"], batch.masked.tolist()) == ([(reason, "sound")], 2.0, [True])
    assert not batch.vectors["sound"].any()


def test_what_is_derived_cannot_be_sent() -> None:
    assert refusals(decoded(message(**{"camera.brightness": 0.3, "opened": 1}))) == [
        ("unknown-signal", "camera.brightness")
    ]


def test_rows_with_neither_frame_nor_embedding_carry_zeros() -> None:
    batch = decoded(message(opened=1.0), message(opened=2.0, sound=None))
    assert {name: (len(vector), vector.any()) for name, vector in batch.vectors.items()} == {
        "camera": (2, False),
        "sound": (2, False),
    }


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two cameras, one torn picture, one name that is no time, and a label."""
    for camera, stem, content in (
        ("north", "1000", picture(HALF)),
        ("north", "3000", picture(HALF)[:45]),
        ("south", "1970-01-01T00-00-02Z", picture(255 - HALF)),
        ("south", "yesterday", picture(HALF)),
    ):
        (tmp_path / camera).mkdir(exist_ok=True)
        (tmp_path / camera / f"{stem}.png").write_bytes(content)
    (tmp_path / "labels.csv").write_text("entity,time,label\nsouth,2000,1\nnorth,1000,0\nnorth,999,1\n")
    return tmp_path


def test_a_folder_of_frames_is_read_like_a_table_in_time_order(recording: Path) -> None:
    source = FileSource([recording], LAYOUT, labelled=True)
    batch = source._batch(source.order, 0)
    frames = batch.vectors["camera"][:, 0]
    assert [entity for entity, status in zip(batch.entity, batch.status, strict=True) if status == Status.OK] == [
        "north",
        "south",
    ]
    sound = frames[batch.status == Status.OK]
    np.testing.assert_array_equal(sound, [HALF, 255 - HALF])
    assert source.events.label is not None
    assert dict(zip(batch.time_ms.tolist(), source.events.label[source.order].tolist(), strict=True))[2000] == 1.0


def test_frames_are_sent_as_they_are_in_time_order(recording: Path) -> None:
    sent = [(key, time_ms, dict(headers)["encoding"]) for key, _, time_ms, headers in frame_messages(recording)]
    assert sent == [(b"north", 1000, b"png"), (b"south", 2000, b"png"), (b"north", 3000, b"png")]


def test_embeddings_stand_in_tables_as_lists(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('entity,time,opened,sound\ncam,1,1,"[3, 0, 4]"\ncam,2,2,\ncam,3,3,"[1, 2]"\n')
    events = read_events([tmp_path / "a.csv"], Wanted(signals={"opened"}, layout=LAYOUT))
    assert events.vectors["sound"].tolist() == [[3, 0, 4], [0, 0, 0], [0, 0, 0]]
    assert events.columns["sound.norm"].tolist() == pytest.approx([5, np.nan, np.nan], nan_ok=True)
    assert events.unreadable["sound.norm"].tolist() == [False, False, True]
