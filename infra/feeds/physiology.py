"""Generated vital signs with labelled episodes, for machines without real stays. Named as generated wherever shown.

What it imitates, and where that is written down:
- resting vitals and their spread between patients: NEWS2's zero-score bands (Royal College of Physicians, 2017);
- circadian rhythm: temperature and heart rate peak in the late afternoon, blood pressure dips at night by a tenth
  (Refinetti & Menaker, Physiol Behav 1992; O'Brien, Lancet 1988);
- slow, correlated wandering: an Ornstein-Uhlenbeck process whose shocks are correlated as fever, pain and the
  baroreflex would (heart rate up with breathing and temperature, down with pressure);
- deterioration: breathing rate and heart rate rise for hours before saturation and consciousness fall
  (Goldhill, QJM 2001; Cretikos, MJA 2008);
- sepsis: fever or its absence, tachycardia, tachypnoea, then falling pressure (Sepsis-3, JAMA 2016);
- sensor faults: a probe falls off (one signal jumps, the others do not) or sticks (one signal repeats itself).

Shapes: N observations of one patient, V vitals.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
import numpy as np

from infra.feeds.feed import Feed, Message
from schemas.observation import Bool, Float64
from schemas.topics import Topics

FIRST_ADMISSION = datetime(2024, 1, 1, tzinfo=UTC)
VITALS = ("HR", "SysABP", "DiasABP", "RespRate", "SaO2", "Temp", "GCS")
_LEVEL = np.array([80.0, 122.0, 70.0, 16.0, 97.0, 37.0, 15.0])
_BETWEEN = np.array([10.0, 12.0, 7.0, 1.8, 0.9, 0.25, 0.0])
_WITHIN = np.array([5.0, 7.0, 5.0, 1.5, 0.7, 0.15, 0.0])
_CIRCADIAN = np.array([4.0, 6.0, 4.0, 0.6, 0.0, 0.3, 0.0])
_LOWEST = np.array([25.0, 45.0, 20.0, 4.0, 60.0, 33.0, 3.0])
_HIGHEST = np.array([200.0, 230.0, 140.0, 50.0, 100.0, 41.5, 15.0])
_DIGITS = np.array([0, 0, 0, 0, 0, 1, 0])
_SHOWN = np.array([1.0, 1.0, 1.0, 0.9, 0.8, 0.35, 0.3])
"""Share of observations that carry each vital: a nurse takes temperature and consciousness less often."""
_CORRELATION = np.array(
    [
        [1.0, -0.3, -0.2, 0.4, -0.2, 0.4, 0.0],
        [-0.3, 1.0, 0.7, 0.0, 0.0, -0.1, 0.0],
        [-0.2, 0.7, 1.0, 0.0, 0.0, -0.1, 0.0],
        [0.4, 0.0, 0.0, 1.0, -0.4, 0.3, 0.0],
        [-0.2, 0.0, 0.0, -0.4, 1.0, -0.1, 0.0],
        [0.4, -0.1, -0.1, 0.3, -0.1, 1.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
    ]
)
_RELAXATION_HOURS = 4.0
_PEAK_HOUR = 17.0


class EpisodeKind(StrEnum):
    """What may happen to a patient, or to a sensor."""

    DETERIORATION = "deterioration"
    SEPSIS = "sepsis"
    PROBE_OFF = "probe-off"
    STUCK = "stuck"


_SHIFT = {
    EpisodeKind.DETERIORATION: np.array([35.0, -8.0, -4.0, 14.0, -11.0, 0.2, -4.0]),
    EpisodeKind.SEPSIS: np.array([45.0, -38.0, -24.0, 11.0, -4.0, 2.2, -2.0]),
}
"""Change of each vital at the height of an episode."""
_SHARE = {
    EpisodeKind.DETERIORATION: 0.12,
    EpisodeKind.SEPSIS: 0.08,
    EpisodeKind.PROBE_OFF: 0.08,
    EpisodeKind.STUCK: 0.05,
}
"""Share of patients with one."""
_HOURS = {
    EpisodeKind.DETERIORATION: 10.0,
    EpisodeKind.SEPSIS: 14.0,
    EpisodeKind.PROBE_OFF: 2.0,
    EpisodeKind.STUCK: 12.0,
}


@dataclass(frozen=True, slots=True)
class Episode:
    """A label: what was made to happen to whom, from when to when (epoch milliseconds)."""

    entity: str
    kind: EpisodeKind
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Patient:
    """One generated stay. `values` [N, V] holds NaN where a vital was not taken; `static` is known at admission."""

    entity: str
    time_ms: list[int]
    values: Float64
    static: dict[str, float]
    episode: Episode | None


def physiology(topics: Topics, patients: int = 400, hours: float = 72.0, seed: int = 0) -> Feed:
    """Feed of generated stays, admitted over ten days, observed about hourly."""
    stays = generate(patients, hours, seed)
    title = f"GENERATED physiology, not patients: {patients} stays with labelled episodes"
    rows = sum(len(stay.time_ms) for stay in stays)
    return Feed(title, rows, lambda: heapq.merge(*(_messages(s, topics.observations) for s in stays), key=_time_ms))


def generate(patients: int, hours: float, seed: int) -> list[Patient]:
    """The stays, with their labels. The same arguments give the same stays."""
    return [_stay(number, hours, np.random.default_rng([seed, number])) for number in range(patients)]


def _time_ms(message: Message) -> int:
    return message.time_ms


def _messages(patient: Patient, topic: str) -> Iterator[Message]:
    encode = msgspec.json.Encoder().encode
    first: dict[str, float] = patient.static
    for time_ms, row in zip(patient.time_ms, patient.values.tolist(), strict=True):
        taken = {name: value for name, value in zip(VITALS, row, strict=True) if value == value}  # noqa: PLR0124
        observation = {"entity": patient.entity, "time": time_ms, **taken, **first}
        yield Message(topic, patient.entity.encode(), encode(observation), time_ms)
        first = {}


def _stay(number: int, hours: float, random: np.random.Generator) -> Patient:
    entity = f"generated-{number:05d}"
    admitted_ms = int(FIRST_ADMISSION.timestamp() * 1000) + int(random.uniform(0, 10 * 24)) * 3_600_000
    hour = np.cumsum(random.gamma(8.0, 1 / 8, size=int(hours)))
    values = _LEVEL + _BETWEEN * random.standard_normal(len(VITALS)) + _wander(hour, random)
    values += _CIRCADIAN * np.cos((hour[:, None] - _PEAK_HOUR) * np.pi / 12)
    kinds = [*_SHARE, None]
    kind = kinds[random.choice(len(kinds), p=[*_SHARE.values(), 1 - sum(_SHARE.values())])]
    start = float(random.uniform(0.3, 0.7) * hour[-1])
    if kind is not None and kind in _SHIFT:
        values += _SHIFT[kind] * _course(hour, start, _HOURS[kind])[:, None]
    values = np.round(np.clip(values, _LOWEST, _HIGHEST) * 10.0**_DIGITS) / 10.0**_DIGITS
    if kind is EpisodeKind.PROBE_OFF or kind is EpisodeKind.STUCK:
        _break_sensor(values, kind, (hour >= start) & (hour <= start + _HOURS[kind]), random)
    taken = random.random(values.shape) < _SHOWN
    taken[~taken.any(axis=1), 0] = True
    time_ms = (admitted_ms + hour * 3_600_000).astype(np.int64).tolist()
    static = {"Age": float(random.integers(25, 90)), "Gender": float(random.integers(0, 2))}
    episode = None
    if kind is not None:
        start_ms = admitted_ms + int(start * 3_600_000)
        episode = Episode(entity, kind, start_ms, start_ms + int(_HOURS[kind] * 3_600_000))
    return Patient(entity, time_ms, np.where(taken, values, np.nan), static, episode)


def _wander(hour: Float64, random: np.random.Generator) -> Float64:
    """Ornstein-Uhlenbeck at irregular times (exact discretisation), stationary from the first observation."""
    shocks = random.standard_normal((len(hour), len(VITALS))) @ np.linalg.cholesky(_CORRELATION).T
    keep = np.exp(-np.diff(hour, prepend=hour[0]) / _RELAXATION_HOURS)
    state = np.empty_like(shocks)
    state[0] = shocks[0]
    for n in range(1, len(hour)):
        state[n] = keep[n] * state[n - 1] + np.sqrt(1 - keep[n] ** 2) * shocks[n]
    return _WITHIN * state


def _course(hour: Float64, start: float, length: float) -> Float64:
    """0 before an episode, rising to 1 over its first two thirds, back to 0 by its end."""
    return np.interp(hour, [start, start + 2 * length / 3, start + length], [0.0, 1.0, 0.0], left=0.0, right=0.0)


def _break_sensor(values: Float64, kind: EpisodeKind, broken: Bool, random: np.random.Generator) -> None:
    """Overwrite, in place, one signal while its sensor is broken; nothing else of the patient changes."""
    rows = np.flatnonzero(broken)
    if not len(rows):
        return
    if kind is EpisodeKind.PROBE_OFF:
        column, shown = (VITALS.index("SaO2"), 62.0) if random.random() < 0.5 else (VITALS.index("Temp"), 24.0)
        values[rows, column] = shown
    else:
        column = int(random.choice([VITALS.index("HR"), VITALS.index("SysABP")]))
        values[rows, column] = values[rows[0], column]
