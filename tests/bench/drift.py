"""`python -m tests.bench.drift`."""

import json
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from infra.assembly import first_version, shard_parts
from infra.backtest.auto import auto_monitor
from infra.logs import configure
from infra.memory import MemoryLedger, MemoryRegistry
from ingest.files import FileSource
from schemas.layout import Layout
from scorer.run import run
from scorer.shard import SnapshotPolicy
from tests.bench.shared import shared_data
from trainer.learner import Learner

BATCH_ROWS = 64
NAMES = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]


def drifted(frame, kind, at, turn=3):
    values = frame[NAMES].to_numpy()
    other = np.roll(values, turn, axis=1)
    row = np.arange(len(values))
    rng = np.random.default_rng(0)
    if kind == "none":
        swapped = row < 0
    elif kind == "abrupt":
        swapped = row >= at
    elif kind == "gradual":
        swapped = rng.random(len(row)) < (row - at) / 2000
    elif kind == "recurring":
        swapped = (row >= at) & ((row - at) // 2000 % 2 == 0)
    return frame.assign(**dict(zip(NAMES, np.where(swapped[:, None], other, values).T)))


def learn(frame, settings, at, frozen, folder):
    file = folder / "rows.csv"
    frame.to_csv(file, index=False)
    monitor = auto_monitor(NAMES, (1,))
    monitor = monitor.model_copy(update={"training": monitor.training.model_validate(settings)})
    layout = Layout(monitor)
    registry = MemoryRegistry()
    first_version(layout, registry)
    source = FileSource([file], layout, BATCH_ROWS)
    learner = Learner(layout, 0, registry)
    parts = shard_parts(layout, MemoryLedger(), registry, SnapshotPolicy(None, timedelta()), look_seconds=0.0)
    said, reports, rows = [], [], 0
    for scored in run(source, parts.shard, parts.pipeline):
        if scored is None:
            continue
        batch = scored.predictions.batch
        median = scored.predictions.forecast[:, :, 0, scored.predictions.forecast.shape[-1] // 2]
        said.append(median)
        rows += len(median)
        if frozen and rows >= at:
            learner._descent.hurry(0.0)
        reports += learner.observe(batch)
        learner.publish_if_proved()
    return np.concatenate(said), reports, registry


if __name__ == "__main__":
    import time

    configure(verbose=False)
    torch.set_num_threads(1)
    name, kinds, who = sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(",")
    extra = json.loads(sys.argv[4]) if len(sys.argv) > 4 else {}
    frame = pd.read_csv(shared_data() / "ett" / f"{name}.csv.gz").rename(columns={"date": "time"})
    frame.insert(0, "entity", name)
    at = 8704
    base = {"windows_per_step": 4}
    off = {"drift": {"detector": "off"}, "canary": {"windows": 0}}
    contestants = {"frozen": off, "no ladder": off, "adaptive": {}}
    for kind in kinds:
        for c in who:
            t = time.time()
            with tempfile.TemporaryDirectory() as folder:
                s = base | contestants[c]
                if c == "adaptive":
                    s = s | extra
                said, reports, registry = learn(drifted(frame, kind, at), s, at, c == "frozen", Path(folder))
            values = drifted(frame, kind, at)[NAMES].to_numpy()
            sd = frame[NAMES].to_numpy()[:at].std(0)
            err = np.abs(said[:-1] - values[1:])
            naive = np.abs(values[:-1] - values[1:])
            loss = np.array([r.losses.get("forecast", np.nan) for r in reports])
            print(
                kind,
                c,
                f"{time.time() - t:.0f}s",
                "steps",
                len(reports),
                "refused",
                sum(r.refused is not None for r in reports),
                "versions",
                registry.newest,
            )
            print(
                "  net loss by 16 steps", np.round([np.nanmean(loss[i : i + 16]) for i in range(0, len(loss), 16)], 3)
            )
            print(
                "  served/naive by 1024",
                np.round([err[i : i + 1024].mean() / naive[i : i + 1024].mean() for i in range(0, len(err), 1024)], 3),
            )
            np.save(f"/tmp/drift_{name}_{kind}_{c.replace(chr(32), '')}.npy", loss)
            if c == "adaptive":
                for v, st, ev, a in registry.actions:
                    print("    ", v, st, ev, a.kind, a.task, a.why)
