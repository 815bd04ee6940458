"""`python -m tests.bench.drift`: what learning makes of a real series in which sensors change places.

Hourly loads and oil temperature of one transformer, each column divided by its deviation before the change; from the
change on every column carries what another one carried: at once (abrupt), in ever more rows of 1,024 (gradual), or back
and forth every 1,024 rows (recurring). The task is as hard as before, and the error has a measure: that of the same
contestant on the same rows where nothing changes. A label is a row whose successor came. An error is back once 256 rows
in a row are within 10 % of that measure; labels until then are counted from the change, from the end of a gradual one,
as the mean over all of several.

Three contestants: the network frozen at the change; learning without detectors, ladder and canaries; learning as
configured. Two errors: the network's, before each update; and what is served, where the fast head steps in. Of the
detector, eleven variants were looked at on losses of both series and of ICU stays, of the hurried learning rate two on
ETTh1: neither series is unseen. At the end, rows after the change are shuffled: no forecast before it may change.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.table import Table

from infra.assembly import first_version, shard_parts
from infra.backtest.auto import auto_monitor
from infra.logs import configure
from infra.memory import MemoryLedger, MemoryRegistry
from infra.terminal import console
from ingest.files import FileSource
from schemas.layout import Layout
from scorer.run import run
from scorer.shard import SnapshotPolicy
from tests.bench.report import machine
from tests.bench.shared import shared_data
from trainer.learner import Learner

Float64 = NDArray[np.float64]
SIGNALS = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
_ROWS, CHANGE, _SPAN, _TURN = 10_112, 6_016, 1_024, 3
BATCH_ROWS, _STEP_ROWS = 64, 64
_JUDGED, _BACK = 256, 1.1
KINDS = ("none", "abrupt", "gradual", "recurring")
OFF = {"drift": {"detector": "off"}, "canary": {"windows": 0}}
_CONTESTANTS: dict[str, dict[str, object]] = {"frozen": OFF, "no ladder": OFF, "as configured": {}}
CHANGES = {
    "abrupt": [CHANGE],
    "gradual": [CHANGE + _SPAN],
    "recurring": list(range(CHANGE, _ROWS - _SPAN + 1, _SPAN)),
}


@dataclass(frozen=True, slots=True)
class Course:
    """What one contestant made of one stream: errors of each row, by what made the forecast, and what learning did."""

    errors: dict[str, Float64]
    forecasts: Float64
    actions: Sequence[str]
    refused: int


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    jobs = list(product(KINDS, _CONTESTANTS))
    with ProcessPoolExecutor(arguments.processes) as pool:
        shuffled = pool.submit(course, arguments.series, "shuffled", "as configured", arguments.seed)
        found = list(pool.map(course, *zip(*((arguments.series, *job, arguments.seed) for job in jobs), strict=True)))
    courses = dict(zip(jobs, found, strict=True))
    before = slice(0, CHANGE)
    same = np.array_equal(shuffled.result().forecasts[before], courses["none", "as configured"].forecasts[before])
    figures = {name: _figures(courses, name) for name in _CONTESTANTS}
    out = console(stderr=arguments.json)
    out.print(_table(arguments.series, figures))
    for kind in KINDS:
        out.print(f"{kind}: {', '.join(courses[kind, 'as configured'].actions) or 'no action'}")
    out.print(f"rows after the change shuffled: forecasts before it {'are the same' if same else 'DIFFER'}")
    if arguments.json:
        print(json.dumps({"series": arguments.series, **figures, "no_peeking": same, "machine": machine()}))
    sys.exit(0 if same else 1)


def course(series: str, kind: str, contestant: str, seed: int) -> Course:
    """Stream one variant of the series: score, then learn."""
    torch.set_num_threads(1)
    frame = drifted(read_series(series), kind)
    plain = auto_monitor(SIGNALS)
    training = plain.training.model_validate({"windows_per_step": 4, **_CONTESTANTS[contestant]})
    layout, registry = Layout(plain.model_copy(update={"training": training})), MemoryRegistry()
    first_version(layout, registry)
    learner = Learner(layout, seed, registry)
    with tempfile.TemporaryDirectory(prefix="bellwether-drift-") as folder:
        file = Path(folder) / f"{series}.csv"
        frame.to_csv(file, index=False)
        source = FileSource([file], layout, BATCH_ROWS)
    parts = shard_parts(layout, MemoryLedger(), registry, SnapshotPolicy(None, timedelta()), look_seconds=0.0)
    forecasts, reports = [], []
    for number, scored in enumerate(run(source, parts.shard, parts.pipeline)):
        assert scored is not None
        quantiles = scored.predictions.forecast[:, :, 0]
        forecasts.append(quantiles[..., quantiles.shape[-1] // 2])
        if contestant == "frozen" and number * BATCH_ROWS >= CHANGE:
            learner.candidate.descent.hurry(0.0)
        reports += learner.observe(scored.predictions.batch)
        learner.publish_if_proved()
    said = np.concatenate(forecasts)
    served = np.abs(said[:-1] - frame[SIGNALS].to_numpy()[1:]).mean(axis=1)
    network = np.repeat([report.losses["forecast"] for report in reports], _STEP_ROWS)
    actions = [f"{action.kind} at row {step * _STEP_ROWS:,}" for _, step, _, action in registry.actions]
    refused = sum(report.refused is not None for report in reports)
    return Course({"network": network, "served": served}, said, actions, refused)


def drifted(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The series with its change in it."""
    values, row, rng = frame[SIGNALS].to_numpy(), np.arange(len(frame)), np.random.default_rng(0)
    since = row - CHANGE
    moved = {
        "abrupt": since >= 0,
        "gradual": rng.random(len(row)) < since / _SPAN,
        "recurring": (since >= 0) & (since // _SPAN % 2 == 0),
    }.get(kind, row < 0)
    values = np.where(moved[:, None], np.roll(values, _TURN, axis=1), values)
    if kind == "shuffled":
        values[CHANGE:] = rng.permutation(values[CHANGE:])
    return frame.assign(**dict(zip(SIGNALS, values.T, strict=True)))


def read_series(name: str) -> pd.DataFrame:
    wide = pd.read_csv(shared_data() / "ett" / f"{name}.csv.gz", nrows=_ROWS).rename(columns={"date": "time"})
    wide.insert(0, "entity", name)
    wide[SIGNALS] /= wide[SIGNALS][:CHANGE].std()
    return wide


def _figures(courses: dict[tuple[str, str], Course], name: str) -> dict[str, float | None]:
    """`<error> none`: the mean after the change where there is none; `<error> <kind>`: labels until it is back."""
    found: dict[str, float | None] = {}
    for error in ("network", "served"):
        measure = courses["none", name].errors[error]
        found[f"{error} none"] = round(float(measure[CHANGE:].mean()), 4)
        for kind, changes in CHANGES.items():
            told = [labels_until(courses[kind, name].errors[error], measure, change) for change in changes]
            found[f"{error} {kind}"] = None if None in told else round(float(np.mean(np.array(told, dtype=float))))
            found[f"{error} {kind} excess"] = round(
                float(courses[kind, name].errors[error][CHANGE:].mean() / measure[CHANGE:].mean()), 4
            )
    return found


def labels_until(error: Float64, measure: Float64, change: int) -> int | None:
    """Rows from a change on until the error is back; None: it is not before the next one, or the end."""
    end = min(change + _SPAN, len(error), len(measure))
    for first in range(change, end - _JUDGED + 1):
        judged = slice(first, first + _JUDGED)
        if error[judged].mean() <= _BACK * measure[judged].mean():
            return first - change
    return None


def _table(series: str, figures: dict[str, dict[str, float | None]]) -> Table:
    table = Table(
        title=f"{series}: mean error without change; labels until it is back, and error after the change in all"
    )
    table.add_column("")
    for name in figures:
        table.add_column(name, justify="right")
    for error, kind in product(("network", "served"), KINDS):
        cells = []
        for found in figures.values():
            labels, excess = found[f"{error} {kind}"], found.get(f"{error} {kind} excess")
            cells.append(
                f"{labels:g}" if excess is None else f"{'never' if labels is None else labels} (x {excess:.3f})"
            )
        table.add_row(f"{error}, {kind}", *cells)
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drift", description=__doc__)
    parser.add_argument("--series", choices=("ETTh1", "ETTh2"), default="ETTh2")
    parser.add_argument("--seed", type=int, default=0, help="of the injected faults")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
