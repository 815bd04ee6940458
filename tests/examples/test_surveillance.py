"""Recorded cameras to alert rows: what failed is noticed, by whom, when and why."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from infra.assembly import first_version, shard_parts
from infra.feeds.scenes import Shot, record, shots
from infra.fitting.options import FitOptions
from infra.memory import MemoryLedger, MemoryRegistry
from infra.settings import load_monitor
from infra.training import train
from ingest.files import FileSource
from schemas.alert import Alert, Change
from schemas.layout import Layout
from scorer.run import run
from scorer.shard import SnapshotPolicy

LAYOUT = Layout(load_monitor("surveillance", {}))
FROZEN_ROWS = 10 + LAYOUT.monitor.alerts.persistence
"""The first frame of a failure, ten that repeat it, and one more that persists."""


@pytest.fixture(scope="module")
def taken() -> list[Shot]:
    found = list(shots(cameras=4, seconds=240, seed=10))
    assert {shot.fault for shot in found} == {"", "frozen", "black"}
    return found


@pytest.fixture(scope="module")
def alerts(taken: list[Shot], tmp_path_factory: pytest.TempPathFactory) -> list[Alert]:
    folder = tmp_path_factory.mktemp("recording")
    record(taken, folder)
    return opened(folder)


def opened(folder: Path, weights: bytes | None = None) -> list[Alert]:
    """Alerts of a network that knows nothing, or of a fitted one."""
    registry = MemoryRegistry()
    if weights is None:
        first_version(LAYOUT, registry)
    else:
        registry.publish(weights, None, {})
    parts = shard_parts(LAYOUT, MemoryLedger(), registry, SnapshotPolicy(None, timedelta()), look_seconds=0.0)
    scored = run(FileSource([folder], LAYOUT), parts.shard, parts.pipeline)
    found = [alert for each in scored if each is not None for alert in each.alerts]
    return [alert for alert in found if alert.change is Change.OPENED]


def failures(taken: Sequence[Shot], fault: str, rows: int) -> set[tuple[str, int]]:
    """Camera and time of the `rows`-th frame of each failure that is so long."""
    found, length = set(), dict.fromkeys({shot.camera for shot in taken}, 0)
    for shot in taken:
        length[shot.camera] = length[shot.camera] + 1 if shot.fault == fault else 0
        if length[shot.camera] == rows:
            found.add((shot.camera, shot.time_ms))
    return found


def raised(alerts: Sequence[Alert], task: str) -> set[tuple[str, int]]:
    return {(alert.entity, round(alert.event_time.timestamp() * 1000)) for alert in alerts if alert.task == task}


def test_a_camera_that_repeats_itself_is_noticed_after_ten_frames_and_no_other_is(taken, alerts):
    expected = failures(taken, "frozen", FROZEN_ROWS) | failures(taken, "black", FROZEN_ROWS)
    assert raised(alerts, "frozen") == expected


def test_a_black_camera_is_noticed_at_its_second_frame_and_no_other_is(taken, alerts):
    expected = failures(taken, "black", LAYOUT.monitor.alerts.persistence)
    assert raised(alerts, "black") == expected


def test_an_alert_says_what_stood_still(alerts):
    reasons = {alert.task: [reason.signal for reason in alert.reasons] for alert in alerts}
    assert reasons["frozen"] == ["camera.brightness", "camera.contrast"]


def test_once_labels_taught_the_network_suspicious_people_of_cameras_never_seen_are_alert_rows(tmp_path: Path) -> None:
    learned, judged = (list(shots(cameras, 150, seed, faults=False)) for cameras, seed in ((6, 3), (3, 77)))
    for name, taken in (("learned", learned), ("judged", judged)):
        record(taken, tmp_path / name)
    assert not raised(opened(tmp_path / "judged"), "suspicious")
    weights = tmp_path / "fitted.safetensors"
    run = tmp_path / "run"
    train(
        FitOptions("surveillance", (tmp_path / "learned",), passes=6, model="fresh", output=weights, directory=run),
        lambda epoch: None,
    )
    found = [alert for alert in opened(tmp_path / "judged", weights.read_bytes()) if alert.task == "suspicious"]
    shown = {(shot.camera, shot.time_ms): shot.suspicious for shot in judged}
    right = [shown[alert.entity, round(alert.event_time.timestamp() * 1000)] for alert in found]
    assert len(right) >= 3
    assert sum(right) / len(right) > 0.6
    assert found[0].summary.startswith("suspicious ")
    assert "looked at camera" in found[0].summary or found[0].reasons
