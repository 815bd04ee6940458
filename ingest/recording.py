"""Recorded frames: ``FOLDER/<camera>/<time>.png`` (or .jpg), and what is known of them in ``FOLDER/labels.csv``.

The time is epoch milliseconds or ISO 8601 (a ``-`` may stand for the ``:`` that file names cannot have).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.clock import EARLIEST_MS, read_time
from ingest.frame_records import frame_headers
from ingest.record import Headers

LABELS = "labels.csv"
"""Columns entity, time, label: joined with the frames of that camera and time."""
_ENCODINGS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
_CLOCK = re.compile(r"T(\d\d)-(\d\d)(?:-(\d\d))?")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One frame's file. `time_ms` None: its name is no time."""

    path: Path
    camera: str
    time_ms: int | None
    encoding: str


def is_recording(folder: Path) -> bool:
    """Does a folder hold a folder with frames?"""
    return folder.is_dir() and next(_frames(folder), None) is not None


def recorded(folder: Path) -> list[Recorded]:
    """The frames of a folder, by time, then camera; those without a time come first."""
    found = [Recorded(path, path.parent.name, _time(path.stem), _ENCODINGS[path.suffix]) for path in _frames(folder)]
    return sorted(found, key=lambda frame: (frame.time_ms or EARLIEST_MS, frame.camera, frame.path.name))


def frame_messages(folder: Path) -> Iterator[tuple[bytes, bytes, int | None, Headers]]:
    """Frames in time order as records (key, value, timestamp, headers), for `publish`; without a time none is sent."""
    for frame in recorded(folder):
        if frame.time_ms is not None:
            headers = frame_headers(frame.camera, frame.time_ms, frame.encoding)
            yield frame.camera.encode(), frame.path.read_bytes(), max(frame.time_ms, 0), headers


def _frames(folder: Path) -> Iterator[Path]:
    cameras = sorted(path for path in folder.iterdir() if path.is_dir())
    return (path for camera in cameras for path in sorted(camera.iterdir()) if path.suffix in _ENCODINGS)


def _time(stem: str) -> int | None:
    if stem.isdecimal():
        return int(stem)
    return read_time(_CLOCK.sub(lambda found: "T" + ":".join(filter(None, found.groups())), stem))
