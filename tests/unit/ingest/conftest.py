"""A small monitor with every scope, a fixed clock, and records made by hand."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from ingest.decode import Decoder
from ingest.record import PlainRecord
from schemas.layout import Layout
from schemas.modality import Modality, Scope
from schemas.monitor import Monitor
from schemas.observation import Batch, Partition
from schemas.signal import Signal, Transform
from schemas.task import Task, TaskKind
from schemas.topics import Topics

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def monitor() -> Monitor:
    return Monitor(
        monitor="ward",
        topics=Topics(observations="vitals", globals="context"),
        entity="patient",
        modalities=(
            Modality(
                name="vitals",
                signals=(
                    Signal(name="heart rate", unit="/min", range=(0, 350)),
                    Signal(name="spo2", unit="%", range=(0, 100)),
                ),
            ),
            Modality(name="weather", scope=Scope.GLOBAL, signals=(Signal(name="pressure", range=(800, 1200)),)),
            Modality(name="person", scope=Scope.STATIC, signals=(Signal(name="age", unit="a", range=(0, 130)),)),
        ),
        tasks=(Task(name="next", kind=TaskKind.FORECAST), Task(name="odd", kind=TaskKind.ANOMALY)),
        max_record_bytes=2_000,
    )


@pytest.fixture
def layout(monitor: Monitor) -> Layout:
    return Layout(monitor)


@pytest.fixture
def market() -> Layout:
    """Six signals with plain names, the shape that rates are measured on."""
    signals = tuple(Signal(name=f"x{i}", transform=Transform.LEVEL) for i in range(6))
    return Layout(
        Monitor(
            monitor="six",
            topics=Topics(observations="six"),
            modalities=(Modality(name="x", signals=signals),),
            tasks=(Task(name="next", kind=TaskKind.FORECAST), Task(name="odd", kind=TaskKind.ANOMALY)),
        )
    )


@pytest.fixture
def decoder(layout: Layout) -> Decoder:
    return Decoder(layout, lambda: NOW)


@pytest.fixture
def decode(decoder: Decoder) -> Callable[..., Batch]:
    """Decodes one partition's (key, value) pairs, the first at offset 0; a dict value is made JSON."""

    def _decode(*pairs: tuple[bytes | None, object]) -> Batch:
        records = [
            PlainRecord(key, value if isinstance(value, bytes | None) else json.dumps(value).encode(), offset)
            for offset, (key, value) in enumerate(pairs)
        ]
        return decoder.decode({Partition("vitals", 0): records})

    return _decode
