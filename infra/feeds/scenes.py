"""Generated scenes before cameras: walkers who behave, people worth a second look, and cameras that fail.

Not real: rectangles on a textured floor. What is known of each frame comes with it, so that it can be taught and
judged. H, W height and width of a frame.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BEHAVIOURS = ("calm", "loitering", "running", "falling")
FAULTS = ("frozen", "black")
START_MS = 1_700_000_000_000
_H, _W = 48, 64
_SHARES = (0.55, 0.15, 0.15, 0.15)
_EPISODE_SECONDS = (12.0, 30.0)
_FAULT_SHARE = 0.06
_SPEED = {"calm": 4.0, "loitering": 0.0, "running": 22.0, "falling": 4.0}
"""Pixels a second."""
_GAIT_HZ = {"calm": 1.0, "loitering": 0.2, "running": 2.5, "falling": 0.0}
Frame = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame and what is known of it. `fault` empty: the camera works."""

    camera: str
    time_ms: int
    frame: Frame
    behaviour: str
    suspicious: bool
    fault: str


def shots(cameras: int, seconds: float, seed: int = 0, *, faults: bool = True) -> Iterator[Shot]:
    """Frames of all cameras in order of time; each camera has a rate of its own, from one to four frames a second."""
    each = [
        _camera(f"camera-{number}", seconds, np.random.default_rng([seed, number]), faults=faults)
        for number in range(cameras)
    ]
    return merge(*each, key=lambda shot: shot.time_ms)


def picture(frame: Frame) -> bytes:
    """A frame as a PNG."""
    from PIL import Image

    written = BytesIO()
    Image.fromarray(frame).save(written, "png")
    return written.getvalue()


def record(taken: Iterable[Shot], folder: Path) -> None:
    """Write frames, and labels.csv beside them, as `ingest.recording` reads them.

    `label` is 1 where the camera failed; `label.behaviour` and `label.suspicious` are empty there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        labels = csv.writer(file)
        labels.writerow(["entity", "time", "label", "label.behaviour", "label.suspicious"])
        for shot in taken:
            path = folder / shot.camera / f"{shot.time_ms}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture(shot.frame))
            seen = ("", "") if shot.fault else (shot.behaviour, "suspicious" if shot.suspicious else "ordinary")
            labels.writerow([shot.camera, shot.time_ms, int(bool(shot.fault)), *seen])


def _camera(name: str, seconds: float, rng: np.random.Generator, *, faults: bool) -> Iterator[Shot]:
    floor = 90.0 + 25.0 * _smooth(rng.normal(size=(_H, _W)))
    period, now = rng.uniform(0.25, 1.0), 0.0
    stuck: Frame | None = None
    while now < seconds:
        episode = _episode(rng)
        fault = str(rng.choice(FAULTS)) if faults and now > _EPISODE_SECONDS[1] and rng.random() < _FAULT_SHARE else ""
        end, began = now + rng.uniform(*_EPISODE_SECONDS), now
        while now < min(end, seconds):
            frame = _seen(floor, episode, now - began, rng)
            if fault == "black":
                frame = np.zeros_like(frame)
            elif fault == "frozen":
                frame = stuck = frame if stuck is None else stuck
            yield Shot(name, START_MS + round(1000 * now), frame, episode.behaviour, episode.suspicious, fault)
            now += period * rng.uniform(0.8, 1.3)
        stuck = None


@dataclass(frozen=True, slots=True)
class _Episode:
    behaviour: str
    suspicious: bool
    start_x: float
    ground: float
    direction: float
    falls_after_seconds: float


def _episode(rng: np.random.Generator) -> _Episode:
    return _Episode(
        behaviour=str(rng.choice(BEHAVIOURS, p=_SHARES)),
        suspicious=bool(rng.random() < 0.3),
        start_x=rng.uniform(8.0, _W - 8.0),
        ground=rng.uniform(0.6, 0.95) * _H,
        direction=float(rng.choice([-1.0, 1.0])),
        falls_after_seconds=rng.uniform(0.5, 3.0),
    )


def _seen(floor: NDArray[np.float64], episode: _Episode, seconds: float, rng: np.random.Generator) -> Frame:
    """The floor, a walker, and the sensor's noise."""
    image = floor.copy()
    fallen = episode.behaviour == "falling" and seconds > episode.falls_after_seconds
    walked = _SPEED[episode.behaviour] * min(seconds, episode.falls_after_seconds if fallen else seconds)
    sway = 1.5 * np.sin(2.0 * np.pi * _GAIT_HZ[episode.behaviour] * seconds)
    x = (episode.start_x + episode.direction * walked + sway) % _W
    height, width = (5.0, 15.0) if fallen else (15.0, 5.0)
    _draw(image, x, episode.ground, height, width, 215.0)
    if episode.suspicious:
        _draw(image, x + 4.0, episode.ground - 3.0, 6.0, 6.0, 15.0)
    return np.clip(image + rng.normal(scale=3.0, size=image.shape), 0, 255).astype(np.uint8)


def _draw(image: NDArray[np.float64], x: float, ground: float, height: float, width: float, light: float) -> None:
    columns = np.arange(round(x - width / 2), round(x + width / 2)) % _W
    image[max(0, round(ground - height)) : round(ground), columns] = light


def _smooth(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    for axis in (0, 1):
        noise = sum(np.roll(noise, shift, axis) for shift in range(-3, 4)) / np.sqrt(7.0)
    return noise
