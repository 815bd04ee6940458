"""`python -m tests.bench.discoveries`: is the share of false alerts what was asked for, and how many faults are caught?

The made-up streams of `tests.bench.alarms`, with faults: shifts of one to nine rows in one or both signals, 8 to 40
typical changes in size, after 120 rows of peace and `--between` more on the mean. Each stream is scored once, without
learning, and decided on with each rate; then with the budget, and with a fixed threshold, that raise as many alerts. An
alert is false if it opens neither in a fault nor within five rows of one. Bursts are nobody's fault here: alerts in
them are false.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from infra.logs import configure
from infra.terminal import console
from schemas.alert import Change
from tests.bench.alarms import SYNTHETIC, Collected, collect, raised, written

_RATES = (0.1, 0.2, 0.3)
_FIRST, _APART, _LOOK_BACK = 600, 120, 300
"""Row of an entity from which faults begin; least rows between two; rows that say how much a signal changes."""
_LONGEST, _SIZES = 9, (8.0, 40.0)
_AFTER = 5
_TRIES = 9


@dataclass(frozen=True, slots=True)
class Outcome:
    """What alerts found.

    Attributes:
        alerts: that opened.
        false: of them.
        caught: faults.
    """

    alerts: int
    false: int
    caught: int

    def __str__(self) -> str:
        share = self.false / self.alerts if self.alerts else 0.0
        return f"{self.alerts}, {share:.2f} false, {self.caught} caught"


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    torch.set_num_threads(1)
    out = console(stderr=arguments.json)
    table = Table("stream", "faults", "asked", "alerts", "budget, as many", "fixed threshold, as many", box=None)
    told: dict[str, Any] = {}
    for name in arguments.stream or SYNTHETIC:
        scored, fault_DE = _scored(name, arguments.seed, arguments.between)
        faults = int(fault_DE.max()) + 1
        for rate in arguments.rate or _RATES:
            found = measure(scored, fault_DE, rate)
            table.add_row(name, str(faults), f"{rate:g}", *map(str, found))
            told[f"{name} {rate:g}"] = {"faults": faults} | {
                way: {"alerts": each.alerts, "false": each.false, "caught": each.caught}
                for way, each in zip(("controlled", "budget", "fixed"), found, strict=True)
            }
    out.print(table)
    if arguments.json:
        print(json.dumps(told))


def measure(scored: Collected, fault_DE: np.ndarray, rate: float) -> tuple[Outcome, Outcome, Outcome]:
    """The rate controlled, then the budget and the fixed threshold that raise about as many alerts."""
    controlled = _outcome(scored, fault_DE, {"false_discovery_rate": rate})
    per_day = max(controlled.alerts, 1) / scored.days
    budget = _outcome(scored, fault_DE, {"budget": f"{per_day:.6f} per entity-day"})
    return controlled, budget, _as_many(scored, fault_DE, controlled.alerts)


def _as_many(scored: Collected, fault_DE: np.ndarray, wanted: int) -> Outcome:
    """By bisection over thresholds, the nearest."""
    low, high, found = 1.0, 9.0, []
    for _ in range(_TRIES):
        threshold = (low + high) / 2.0
        settings = {"threshold": threshold, "critical": threshold + 2.0, "steering": 0.0}
        found.append(_outcome(scored, fault_DE, settings))
        low, high = (threshold, high) if found[-1].alerts > wanted else (low, threshold)
    return min(found, key=lambda each: abs(each.alerts - wanted))


def _outcome(scored: Collected, fault_DE: np.ndarray, alerts: dict[str, Any]) -> Outcome:
    opened = [each for each in raised(scored, alerts, scored.batches) if each.change is Change.OPENED]
    row_of = [(each.offset // fault_DE.shape[1], each.offset % fault_DE.shape[1]) for each in opened]
    met = [int(fault_DE[max(row - _AFTER, 0) : row + 1, entity].max()) for row, entity in row_of]
    return Outcome(len(met), met.count(-1), len({*met} - {-1}))


def _scored(name: str, seed: int, between: float) -> tuple[Collected, np.ndarray]:
    """The stream, and the number of the fault that each row carries, -1 = none, [D, E]."""
    values_DE2 = SYNTHETIC[name](np.random.default_rng(seed))
    fault_DE = _injected(values_DE2, np.random.default_rng(seed + 1000), between)
    with tempfile.TemporaryDirectory(prefix="bellwether-discoveries-") as folder:
        return collect(written(values_DE2, Path(folder) / f"{name}.parquet")), fault_DE


def _injected(values_DE2: np.ndarray, rng: np.random.Generator, between: float) -> np.ndarray:
    """Puts faults in, in place."""
    fault_DE = np.full(values_DE2.shape[:2], -1)
    for entity in range(values_DE2.shape[1]):
        row = _FIRST
        while (row := row + _APART + int(rng.exponential(between))) + _LONGEST < len(values_DE2):
            length = int(rng.integers(1, _LONGEST + 1))
            past_d2 = values_DE2[row - _LOOK_BACK : row, entity]
            unit_2 = np.median(np.abs(np.diff(past_d2, axis=0)), axis=0) / 0.6745
            broken_2 = rng.random(2) < 0.6
            broken_2[rng.integers(2)] = True
            shift_2 = rng.uniform(*_SIZES) * rng.choice([-1.0, 1.0], 2) * unit_2
            values_DE2[row : row + length, entity] += broken_2 * shift_2
            fault_DE[row : row + length, entity] = fault_DE.max() + 1
    return fault_DE


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.discoveries", description=__doc__)
    parser.add_argument("--stream", action="append", choices=[*SYNTHETIC], help="this one alone")
    parser.add_argument("--rate", action="append", type=float, help="this one alone")
    parser.add_argument("--between", type=float, default=800.0, help="mean rows between two faults of an entity")
    parser.add_argument("--seed", type=int, default=1, help="of streams and faults; 0 was tuned on")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
