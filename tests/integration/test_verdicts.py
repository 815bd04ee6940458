"""What people say of alerts on real ICU stays: most are called false, so fewer are raised."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from infra.assembly import first_version, shard_parts
from infra.backtest.auto import auto_monitor
from infra.memory import MemoryLedger, MemoryRegistry
from ingest.files import FileSource
from schemas.alert import ALARMS, Alert
from schemas.layout import Layout
from schemas.monitor import Monitor
from scorer.run import run
from scorer.shard import SnapshotPolicy
from tests.converters import icu
from tests.converters.inject import inject

STAYS, BATCH = 400, 512
STATIC = ["Age", "Gender", "Height", "ICUType", "Weight"]
NEVER = SnapshotPolicy(None, timedelta(days=1))


class Nurses:
    """They look at every alarm of the learned score, and know of the faults that were injected."""

    def __init__(self, faulty: set[tuple[str, int]]) -> None:
        self._faulty, self.true, self.false = faulty, 0, 0

    def look_at(self, alarm: Alert) -> None:
        right = (alarm.entity, round(alarm.event_time.timestamp() * 1000)) in self._faulty
        self.true, self.false = self.true + right, self.false + (not right)

    def judged(self) -> dict[str, tuple[int, int]]:
        return {"anomaly": (self.true, self.false)}


@pytest.fixture(scope="module")
def ward(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Monitor, set[tuple[str, int]]]:
    folder = tmp_path_factory.mktemp("ward")
    wide = pd.read_parquet(icu.convert(shared_data, folder, STAYS)).drop(columns=STATIC)
    wide = inject(wide.reset_index(drop=True), 1)
    wide.to_parquet(folder / "wide.parquet", index=False)
    monitor = auto_monitor([name for name in wide if name not in {"entity", "time", "label"}])
    alerts = type(monitor.alerts)(threshold=1.8, warm_up=10)
    at_fault = wide[wide.label > 0]
    faulty = set(zip(at_fault.entity.astype(str), at_fault.time.tolist(), strict=True))
    return folder / "wide.parquet", monitor.model_copy(update={"alerts": alerts}), faulty


def judged(ward: tuple[Path, Monitor, set[tuple[str, int]]], *, heard: bool) -> tuple[int, int]:
    """How many alarms were true, and how many false, where what the nurses say is heard, and where not."""
    path, monitor, faulty = ward
    layout, registry, nurses = Layout(monitor), MemoryRegistry(), Nurses(faulty)
    first_version(layout, registry)
    parts = shard_parts(layout, MemoryLedger(), registry, NEVER, 0.0, verdicts=nurses if heard else None)
    for scored in run(FileSource([path], layout, BATCH), parts.shard, parts.pipeline):
        for alert in scored.alerts if scored else ():
            if alert.change in ALARMS:
                nurses.look_at(alert)
    return nurses.true, nurses.false


def test_a_handful_of_verdicts_makes_false_alarms_rarer(ward):
    deaf, hearing = judged(ward, heard=False), judged(ward, heard=True)
    print(f"true and false alarms: {deaf} unheard, {hearing} heard")
    assert deaf[1] > 40
    assert hearing[1] < 0.8 * deaf[1]
    assert hearing[0] > 0
