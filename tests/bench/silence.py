"""`python -m tests.bench.silence`: which failing feeds are told, how soon, and how often a sound one is.

Into each stream of real or synthetic rows one failure of each kind is put, in an entity and at a time drawn from the
seed; everything is streamed once with `silence: {}`, periods learned. `found`: an alert of that kind and entity opened
while the failure lasted or by the first row after it; `periods`: from the last sound row to the alert, in typical gaps
(median). `false_per_entity_day`: alerts of any kind on the same stream without a failure. Beside, what a rule of thumb
would tell: a gap between rows above twice the typical one (of a signal that is missing it says nothing), 12 equal
values.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.table import Table

from infra.logs import configure
from infra.terminal import console
from schemas.alert import Alert, Change
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch, Partition
from scorer.scorer import Scorer, state_template
from scorer.silence.watch import Silence
from scorer.stages.pipeline import AlertPipeline
from scorer.store import Store
from tests.bench.shared import shared_data
from tests.converters import ett, markets

_DAY_MS = 86_400_000
_PARTITION = Partition("bench", 0)
_ROWS = 24
"""Of a failure: so many of the entity's rows."""
_BATCH = 1024
Rows = pd.DataFrame
"""entity, time (epoch ms), recorded, and a column a signal."""


def _stopped(rows: Rows, at: int, _: np.random.Generator) -> Rows:
    return rows.drop(rows.index[at : at + _ROWS])


def _frozen(rows: Rows, at: int, rng: np.random.Generator) -> Rows:
    signal = rng.choice(_signals(rows))
    rows.iloc[at : at + _ROWS, rows.columns.get_loc(signal)] = rows[signal].iloc[at - 1]
    return rows


def _repeated(rows: Rows, at: int, _: np.random.Generator) -> Rows:
    block = _ROWS // 2
    values = rows[_signals(rows)].iloc[at - block : at].to_numpy()
    rows.iloc[at : at + block, [rows.columns.get_loc(each) for each in _signals(rows)]] = values
    return rows


def _skew(rows: Rows, at: int, _: np.random.Generator) -> Rows:
    rows.iloc[at : at + _ROWS, rows.columns.get_loc("recorded")] -= 1_500
    return rows


def _behind(rows: Rows, at: int, _: np.random.Generator) -> Rows:
    rows.iloc[at : at + _ROWS, rows.columns.get_loc("recorded")] += 100_000
    return rows


def _unit(rows: Rows, at: int, _: np.random.Generator) -> Rows:
    rows.iloc[at : at + _ROWS, rows.columns.get_loc("t")] = rows["t"].iloc[at : at + _ROWS] * 1.8 + 32
    return rows


_FAILURES: Mapping[str, Callable[[Rows, int, np.random.Generator], Rows]] = {
    "stopped": _stopped,
    "frozen": _frozen,
    "repeated": _repeated,
    "skew": _skew,
    "behind": _behind,
    "unit": _unit,
}
_TOLD_AS = {name: {name} for name in _FAILURES} | {"stopped": {"stopped", "gap"}, "behind": {"skew"}}


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    torch.set_num_threads(1)
    out = console(stderr=arguments.json)
    found = {}
    with tempfile.TemporaryDirectory(prefix="bellwether-silence-") as folder:
        for name, rows in _streams(arguments.seed, Path(folder)).items():
            found[name] = measure(rows, arguments.seed, arguments.failures)
    table = Table("stream", "failure", "found", "periods", "false an entity-day", "of thumb: found, false", box=None)
    for name, figures in found.items():
        for failure, each in figures["failures"].items():
            thumb = each.get("thumb_found")
            beside = "" if thumb is None else f"{thumb:.0%}, {figures['thumb_false_per_entity_day']:.3f}"
            periods = "-" if each["periods"] is None else f"{each['periods']:.2f}"
            table.add_row(
                name, failure, f"{each['found']:.0%}", periods, f"{figures['false_per_entity_day']:.4f}", beside
            )
    out.print(table)
    if arguments.json:
        print(json.dumps(found))


def measure(rows: Rows, seed: int, failures: int) -> dict[str, Any]:
    """Figures of one stream."""
    rng = np.random.default_rng(seed)
    spans = rows.groupby("entity").time.agg(["min", "max"])
    days = float((spans["max"] - spans["min"]).sum() / _DAY_MS)
    false = sum(alert.change is Change.OPENED for alert in watch(rows))
    thumbed = sum(len(_thumb(mine)) for _, mine in rows.groupby("entity"))
    figures: dict[str, Any] = {"false_per_entity_day": false / days, "thumb_false_per_entity_day": thumbed / days}
    names = [name for name in _FAILURES if name != "unit" or "t" in rows.columns]
    figures["failures"] = {name: _measured(rows, name, rng, failures) for name in names}
    return figures


def _measured(rows: Rows, name: str, rng: np.random.Generator, failures: int) -> dict[str, float | None]:
    sound, found, thumbed, periods = dict(list(rows.groupby("entity"))), 0, 0, []
    for _ in range(failures):
        entity = str(rng.choice(list(sound)))
        mine = sound[entity]
        at = int(rng.integers(len(mine) // 4, len(mine) - 2 * _ROWS))
        first, last = int(mine.time.iloc[at - 1]), int(mine.time.iloc[min(at + _ROWS, len(mine) - 1)])
        broken = _FAILURES[name](mine.copy(), at, rng)
        window = [part[part.time <= last] if key != entity else broken for key, part in sound.items()]
        told = [
            alert
            for alert in watch(pd.concat(window))
            if alert.entity == entity and alert.kind in _TOLD_AS[name] and alert.change is Change.OPENED
        ]
        times = [int(alert.event_time.timestamp() * 1000) for alert in told]
        inside = [time for time in times if first < time <= last]
        found += bool(inside)
        if inside:
            periods.append((inside[0] - first) / float(np.median(np.diff(mine.time))))
        thumbed += any(first < time <= last for time in _thumb(broken))
    told_share: dict[str, float | None] = {
        "found": found / failures,
        "periods": float(np.median(periods)) if periods else None,
    }
    return told_share | ({"thumb_found": thumbed / failures} if name in {"stopped", "frozen"} else {})


def _thumb(mine: Rows) -> list[int]:
    """When a rule of thumb begins to tell of something, epoch ms."""
    gap = mine.time.diff().to_numpy()
    silent = gap > 2.0 * np.nanmedian(gap)
    still = np.zeros(len(mine), dtype=np.bool_)
    for signal in _signals(mine):
        value = mine[signal].to_numpy()
        same = np.concatenate([[False], value[1:] == value[:-1]])
        run = np.arange(len(same)) - np.maximum.accumulate(np.where(~same, np.arange(len(same)), 0))
        still |= run == 11
    return [int(time) for time in mine.time.to_numpy()[silent | still]]


def watch(rows: Rows) -> list[Alert]:
    """Alerts of failing feeds on a stream in event-time order."""
    rows = rows.sort_values("time", kind="stable")
    names = _signals(rows)
    layout = Layout(_monitor(names))
    store = Store(state_template(layout))
    scorer, pipeline = (
        Scorer(layout, store, lambda _: None),
        AlertPipeline(layout, store, silence=Silence(layout, store, lambda: 0.0)),
    )
    found = []
    for start in range(0, len(rows), _BATCH):
        part = rows.iloc[start : start + _BATCH]
        n = len(part)
        batch = Batch(
            entity=part.entity.tolist(),
            time_ms=part.time.to_numpy(dtype=np.int64),
            values=part[names].to_numpy(dtype=np.float64),
            partition=np.zeros(n, dtype=np.int64),
            offset=start + np.arange(n),
            status=np.zeros(n, dtype=np.uint8),
            masked=np.zeros(n, dtype=np.bool_),
            partitions=(_PARTITION,),
            next_offsets=(start + n,),
            recorded_ms=part.recorded.to_numpy(dtype=np.int64),
        )
        alerts = pipeline.decide(scorer.score(batch, np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.int64)))
        found += [alert for alert in alerts if alert.task == "silence"]
    return found


def _monitor(names: list[str]) -> Monitor:
    signals = [{"name": name} | ({"unit": "Cel"} if name == "t" else {}) for name in names]
    return Monitor.model_validate(
        {
            "monitor": "bench",
            "topics": {"observations": "bench"},
            "modalities": [{"name": "all", "signals": signals}],
            "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
            "silence": {},
        }
    )


def _signals(rows: Rows) -> list[str]:
    return [name for name in rows.columns if name not in {"entity", "time", "recorded"}]


def _streams(seed: int, folder: Path) -> dict[str, Rows]:
    return {
        "ward": _ward(np.random.default_rng(seed)),
        "ett": _read(ett.convert(shared_data(), folder), 4_000),
        "crypto": _read(markets.convert_intraday(shared_data(), folder), 2_000),
    }


def _read(files: list[Path], most: int) -> Rows:
    """The first rows of each entity; recorded when they happened."""
    parts = [pd.read_csv(file).head(most) for file in files]
    whole = pd.concat(parts, ignore_index=True)
    time = pd.to_datetime(whole.time, utc=True).astype("datetime64[ms, UTC]").astype("int64")
    return whole.assign(time=time, recorded=time + 200)


def _ward(rng: np.random.Generator, patients: int = 12, minutes: int = 600) -> Rows:
    """Vital signs about once a minute, some missing, recorded within a second; `t` in degrees Celsius."""
    parts = []
    for patient in range(patients):
        time = np.sort(np.arange(minutes) * 60_000 + rng.integers(0, 9_000, minutes) + patient)
        parts.append(
            pd.DataFrame(
                {
                    "entity": f"p{patient}",
                    "time": time,
                    "recorded": time + rng.integers(0, 1_000, minutes) - 500,
                    "hr": np.round(75 + 8 * np.sin(np.arange(minutes) / 60) + rng.normal(0, 3, minutes)),
                    "sbp": np.where(rng.random(minutes) < 0.2, np.nan, np.round(rng.normal(122, 9, minutes))),
                    "t": np.round(36.9 + 0.2 * rng.normal(size=minutes), 1),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.silence", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of failures and of the ward")
    parser.add_argument("--failures", type=int, default=5, help="of each kind")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
