"""`python -m tests.bench.alarms`: is the alarm budget kept? Beside a fixed threshold and the steering by rows.

Each stream is scored once, without learning, and decided on several times: with the budget kept; with the default
steering, told as many alerts per 1,000 rows as the budget comes to; and with a fixed threshold, the one that kept the
budget best on the first fifth of the stream. Alarms are alerts that open or escalate, of any kind; rules are among
them. `error` is how far the rate of alarms lies from the budget.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.table import Table

from infra.assembly import first_version, shard_parts
from infra.backtest.run import BATCH_ROWS
from infra.logs import configure
from infra.memory import MemoryLedger, MemoryRegistry
from infra.settings import load_monitor
from infra.terminal import console
from ingest.files import FileSource
from schemas.alert import ALARMS, Alert
from schemas.alerting import AlertSettings
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Status
from schemas.prediction import Predictions
from scorer.run import run
from scorer.scorer import state_template
from scorer.shard import SnapshotPolicy
from scorer.stages.pipeline import AlertPipeline
from scorer.store import Store
from tests.bench.shared import shared_data
from tests.converters import ett, icu, markets

_DAY_MS = 86_400_000
_START_MS = 1_704_067_200_000
_ENTITIES, _DAYS, _ROWS_A_DAY = 40, 14, 288
_THRESHOLDS = np.arange(0.5, 8.0, 0.25)
_PLAIN = {
    "topics": {"observations": "bench"},
    "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
}
_STAYS = 600


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream and the alarms that are wanted of it, in the words of `alerts.budget`."""

    monitor: Monitor
    files: Sequence[Path]
    budget: str
    per_day: float


@dataclass(frozen=True, slots=True)
class Collected:
    """A stream, scored."""

    layout: Layout
    batches: Sequence[Predictions]
    days: float
    rows: int


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    torch.set_num_threads(1)
    out = console(stderr=arguments.json)
    table = Table("stream", "budget", "entity-days", "kept", "by rules", "error", "steering", "fixed", box=None)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bellwether-alarms-") as folder:
        for name in arguments.stream or [*SYNTHETIC, *_REAL]:
            stream = _stream(name, arguments.seed, Path(folder))
            found[name] = each = measure(stream)
            figures = (f"{each[key]:.3f}" for key in ("kept", "by_rules"))
            beside = (f"{each[key]:.3f} ({each[key] / each['budget'] - 1:+.0%})" for key in ("steering", "fixed"))
            table.add_row(name, stream.budget, f"{each['days']:.0f}", *figures, f"{each['error']:+.0%}", *beside)
    out.print(table)
    if arguments.json:
        print(json.dumps(found))


def measure(stream: Stream) -> dict[str, float]:
    """Alarms an entity-day of each way to decide, and how far the budget's own is from it."""
    scored = collect(stream)
    kept, by_rules = _per_day(scored, {"budget": stream.budget})
    per_thousand = stream.per_day * scored.days / scored.rows * 1000
    steering, _ = _per_day(scored, {"budget": per_thousand})
    fixed, _ = _per_day(scored, {"steering": 0.0, **_best_fixed(scored, stream.per_day)})
    return {
        "budget": stream.per_day,
        "days": scored.days,
        "kept": kept,
        "by_rules": by_rules,
        "error": kept / stream.per_day - 1.0,
        "steering": steering,
        "fixed": fixed,
    }


def collect(stream: Stream) -> Collected:
    """Score a stream through the very same code as a backtest."""
    layout = Layout(stream.monitor)
    registry = MemoryRegistry()
    first_version(layout, registry)
    parts = shard_parts(layout, MemoryLedger(), registry, SnapshotPolicy(None, timedelta()), look_seconds=0.0)
    source = FileSource(stream.files, layout, BATCH_ROWS)
    batches = [each.predictions for each in run(source, parts.shard, parts.pipeline) if each is not None]
    rows = sum(int((each.status == Status.OK).sum()) for each in batches)
    return Collected(layout, batches, _days(batches), rows)


def _days(batches: Sequence[Predictions]) -> float:
    slot = np.concatenate([each.slot[each.status == Status.OK] for each in batches])
    time_ms = np.concatenate([each.batch.time_ms[each.status == Status.OK] for each in batches])
    spans = pd.Series(time_ms).groupby(slot)
    return float((spans.max() - spans.min()).sum() / _DAY_MS)


def _per_day(scored: Collected, alerts: dict[str, Any], batches: slice = slice(None)) -> tuple[float, float]:
    """Alarms an entity-day, and how many of them are rules'."""
    rules, chosen = {rule.name for rule in scored.layout.monitor.rules}, scored.batches[batches]
    alarms = [alert for alert in raised(scored, alerts, chosen) if alert.change in ALARMS]
    days = scored.days if batches == slice(None) else _days(chosen)
    return len(alarms) / days, sum(alert.task in rules for alert in alarms) / days


def raised(scored: Collected, alerts: dict[str, Any], batches: Sequence[Predictions]) -> list[Alert]:
    """Every step of the alerts that other settings than the monitor's raise of these batches."""
    monitor = scored.layout.monitor
    settings = AlertSettings.model_validate(monitor.alerts.model_dump(exclude=set(alerts)) | alerts)
    layout = Layout(monitor.model_copy(update={"alerts": settings}))
    store = Store(state_template(layout))
    names = {
        int(slot): name for each in scored.batches for slot, name in zip(each.slot, each.batch.entity, strict=True)
    }
    store.slots(scored.batches[0].batch.partitions[0], [names[slot] for slot in sorted(names)])
    pipeline = AlertPipeline(layout, store)
    return [alert for each in batches for alert in pipeline.decide(each)]


def _best_fixed(scored: Collected, per_day: float) -> dict[str, float]:
    """The threshold whose alarms came closest to the budget on the first fifth of the stream."""
    first = slice(0, max(len(scored.batches) // 5, 1))
    errors = [abs(np.log((_per_day(scored, _at(each), first)[0] + 1e-9) / per_day)) for each in _THRESHOLDS.tolist()]
    return _at(float(_THRESHOLDS[int(np.argmin(errors))]))


def _at(threshold: float) -> dict[str, float]:
    return {"threshold": threshold, "critical": threshold + 2.0, "steering": 0.0}


def _plain(signals: Sequence[str]) -> Monitor:
    modality = {"name": "signals", "signals": [{"name": name} for name in signals]}
    return Monitor.model_validate(_PLAIN | {"monitor": "alarms", "modalities": [modality]})


def _noise(rng: np.random.Generator, scale_DE: np.ndarray, freedom: float = 4.0) -> np.ndarray:
    """Autoregressive heavy-tailed noise of two signals, [D, E, 2]."""
    innovation = rng.standard_t(freedom, (*scale_DE.shape, 2)) * scale_DE[..., None]
    values = np.empty_like(innovation)
    state = np.zeros(innovation.shape[1:])
    for row, new in enumerate(innovation):
        values[row] = state = 0.7 * state + new
    return values


def _stationary(rng: np.random.Generator) -> np.ndarray:
    return _noise(rng, np.ones((_DAYS * _ROWS_A_DAY, _ENTITIES)))


def _drifting(rng: np.random.Generator) -> np.ndarray:
    """Noise that grows five-fold, tails that get heavier, and levels that wander off."""
    rows = _DAYS * _ROWS_A_DAY
    grown = np.geomspace(1.0, 5.0, rows)[:, None] * np.ones(_ENTITIES)
    heavy = rng.random((rows, _ENTITIES)) < np.linspace(0.0, 0.02, rows)[:, None]
    level = rng.normal(size=(_ENTITIES, 2)) * np.linspace(0.0, 60.0, rows)[:, None, None]
    return _noise(rng, grown * np.where(heavy, 6.0, 1.0), 6.0) + level


def _bursty(rng: np.random.Generator) -> np.ndarray:
    """Every few days an hour or two in which half of the entities are restless."""
    scale = np.ones((_DAYS * _ROWS_A_DAY, _ENTITIES))
    for start in np.flatnonzero(rng.random(len(scale)) < 1.0 / 700.0).tolist():
        restless = rng.random(_ENTITIES) < 0.5
        scale[start : start + int(rng.integers(6, 30)), restless] = 5.0
    return _noise(rng, scale)


SYNTHETIC: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "stationary": _stationary,
    "drifting": _drifting,
    "bursty": _bursty,
}
"""Two signals of 40 entities, [D, E, 2]."""
_REAL = ("icu", "ett", "crypto")


def _stream(name: str, seed: int, folder: Path) -> Stream:
    if name in SYNTHETIC:
        return written(SYNTHETIC[name](np.random.default_rng(seed)), folder / f"{name}.parquet")
    return _real(name, seed, folder)


def written(values_DEs: np.ndarray, file: Path) -> Stream:
    """Two signals of entities that share their times, [D, E, 2], as a stream."""
    rows, entities, _ = values_DEs.shape
    time_ms = _START_MS + np.arange(rows)[:, None] * (_DAY_MS // _ROWS_A_DAY) + np.arange(entities)
    columns = {
        "entity": np.tile([f"e{each}" for each in range(entities)], rows),
        "time": time_ms.ravel(),
        "a": values_DEs[..., 0].ravel(),
        "b": values_DEs[..., 1].ravel(),
    }
    pd.DataFrame(columns).to_parquet(file, index=False)
    return Stream(_plain(["a", "b"]), (file,), "0.5 per entity-day", 0.5)


def _real(name: str, seed: int, folder: Path) -> Stream:
    shared = shared_data()
    if name == "icu":
        monitor = load_monitor("health")
        return Stream(monitor, (icu.convert(shared, folder, _STAYS, seed),), "1 per entity-day", 1.0)
    if name == "ett":
        files = ett.convert(shared, folder)
        signals = [column for column in pd.read_csv(files[0], nrows=1).columns if column not in {"entity", "time"}]
        return Stream(_plain(signals), files, "0.1 per entity-day", 0.1)
    return Stream(
        _plain(["close", "range_percent", "volume"]), markets.convert_intraday(shared, folder), "2 per entity-day", 2.0
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.alarms", description=__doc__)
    parser.add_argument("--stream", action="append", choices=[*SYNTHETIC, *_REAL], help="this one alone")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the synthetic streams and of admissions; 0 was tuned on"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
